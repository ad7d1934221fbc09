// What goes into a clip of a video in a browser, and what comes out.
import type { ByteSource } from '../source.ts';

/** One coded frame. Mediabunny's EncodedPacket is one. */
export interface VideoPacket {
  readonly type: 'key' | 'delta';
  /** When it is shown, in seconds. Where `file` is not given, those below 0 are taken for hidden by an edit list. */
  readonly timestamp: number;
  /** In seconds. */
  readonly duration: number;
  readonly data: Uint8Array;
}

/** Packets that are read when they are asked for. Mediabunny's EncodedPacketSink is one. */
export interface PacketSink {
  /** Those from `start` on, by default all, in the order in which they are decoded; with `metadataOnly` without their data. */
  packets(
    start?: VideoPacket,
    end?: VideoPacket,
    options?: { readonly metadataOnly?: boolean },
  ): AsyncIterable<VideoPacket>;
  /** The last at or before a time, in seconds, at which decoding can begin. */
  getKeyPacket(timestamp: number, options?: { readonly verifyKeyPackets?: boolean }): Promise<VideoPacket | null>;
}

/** A video as a demuxer has it. */
export interface ClipSource {
  /** Mediabunny's InputVideoTrack, or what else tells how the decoder is to be configured. */
  readonly track: {
    getDecoderConfig(): Promise<VideoDecoderConfig | null>;
    /** 1 for the first video track of the file, which is the one that the official code takes. Default: 1. */
    readonly number?: number;
  };
  /** Mediabunny's EncodedPacketSink of that track, or all of its packets in the order in which they are decoded. */
  readonly packets: PacketSink | readonly VideoPacket[];
  /** The file itself. Demuxers do not tell all of its header, and without that a choice of frames is approximate. */
  readonly file?: Blob | ByteSource | undefined;
}

/** Which frames of a video were chosen. */
export interface FrameChoice {
  /** [F], places among the frames that are shown, in the order in which they are shown. */
  readonly numbers: readonly number[];
  /** [F], when they are shown, in seconds. */
  readonly times: readonly number[];
  /** How many frames the video shows. */
  readonly count: number;
  /** Frames per second: what ffmpeg calls the average frame rate, or a guess of it. */
  readonly rate: number;
  /** Whether the official code takes these very frames. If not, they are approximate: mostly the same, or neighbours of those. */
  readonly official: boolean;
  /** Why the official code may take others, in sentences; none where `official` is true. */
  readonly reasons: readonly string[];
}

/** The frames of one clip, in memory. */
export interface Clip extends FrameChoice {
  /**
   * [F], as `classify` takes them. Bitmaps, whose colours are the browser's own, where frames come in a format that the model does not read, such as
   * one of 10 bits. A frame that was chosen more than once is the same object.
   */
  readonly frames: readonly (VideoFrame | ImageBitmap)[];
  /** How many frames were decoded on the way. */
  readonly decoded: number;
  /** Frees the frames. Safe to call twice. */
  close(): void;
}

/** How far a clip has come. */
export interface ClipProgress {
  readonly choice: FrameChoice;
  /** Frames that are there, of `total`, which is F. */
  readonly loaded: number;
  readonly total: number;
  /** The frame that has just come, and its places in the clip: none in the first call, which tells of the choice. It stays the clip's. */
  readonly frame?: VideoFrame | ImageBitmap;
  readonly places: readonly number[];
}

/** What readClip() takes beside the video; everything may be left out. */
export interface ReadClipOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ClipProgress) => void) | undefined;
  /** Chooses frames in place of the official sampling: F numbers below `count`. The choice is not called official then. */
  readonly choose?: ((video: Pick<FrameChoice, 'count' | 'rate'>) => readonly number[]) | undefined;
}
