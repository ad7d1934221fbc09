// What runs in the page: clips read as an app reads them, with every frame watched from its begin to its close.
import { ALL_FORMATS, BlobSource, EncodedPacketSink, Input } from 'mediabunny';
import type { Clip, ClipSource, ReadClipOptions } from '../../../index.ts';
import { readClip } from '../../../index.ts';

/** Frames that are open: the decoder's, and those made here. */
const open = { decoded: new Set<VideoFrame>(), own: new Set<VideoFrame>() };

window.VideoFrame = new Proxy(VideoFrame, {
  construct(target, parameters: ConstructorParameters<typeof VideoFrame>) {
    const frame = new target(...parameters);
    watch(frame, open.own);
    return frame;
  },
});

const Decoder = VideoDecoder;
window.VideoDecoder = class extends Decoder {
  constructor({ output, error }: VideoDecoderInit) {
    super({
      output(frame) {
        watch(frame, open.decoded);
        output(frame);
      },
      error,
    });
  }
};

function watch(frame: VideoFrame, into: Set<VideoFrame>): void {
  into.add(frame);
  const close = frame.close.bind(frame);
  frame.close = () => {
    into.delete(frame);
    close();
  };
}

const sampling = { framesPerClip: 16, frameRate: 1.6, stepBetweenClips: 1000 };

async function openFile(name: string) {
  const file = new File([await (await fetch(`/${name}`)).blob()], name);
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  const [track] = await input.getVideoTracks();
  return { file, track, packets: new EncodedPacketSink(track) };
}

export interface ReadClip extends Omit<Clip, 'frames' | 'close'> {
  /** Frames that were open when it had come: the decoder's, and those made here. */
  readonly held: readonly number[];
  /** Timestamps of the frames, in microseconds. */
  readonly stamps: readonly number[];
  /** Frames that are open in the end. */
  readonly left: number;
}

/** An error, or, of an abort, its reason. */
export interface Failure {
  readonly code: string | undefined;
  readonly message: unknown;
  readonly left: number;
}

/** Reads a clip and closes it. */
async function read(source: ClipSource, options: ReadClipOptions = {}): Promise<ReadClip | Failure> {
  try {
    const clip = await readClip(source, sampling, options);
    const { numbers, times, count, rate, official, reasons, decoded } = clip;
    const held = [open.decoded.size, open.own.size];
    const stamps = clip.frames.map((frame) => ('timestamp' in frame ? frame.timestamp : Number.NaN));
    clip.close();
    return { numbers, times, count, rate, official, reasons, decoded, held, stamps, left: open.own.size };
  } catch (error) {
    // copies under way are closed when they are made
    for (let turn = 0; turn < 100 && open.own.size + open.decoded.size > 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { code, message } = error as { readonly code?: string; readonly message?: string };
    return { code, message: message ?? error, left: open.own.size + open.decoded.size };
  }
}

const checks = {
  async clip(name: string) {
    return await read(await openFile(name));
  },

  /** What is told on the way: frames that are there, and how many places the latest fills. */
  async progress(name: string) {
    const told: [loaded: number, places: number][] = [];
    const onProgress: ReadClipOptions['onProgress'] = ({ loaded, places }) => told.push([loaded, places.length]);
    await read(await openFile(name), { onProgress });
    return told;
  },

  /** An abort, or an exception of the app's, once `frames` frames are there. */
  async stopped(name: string, frames: number, how: 'abort' | 'throw') {
    const controller = new AbortController();
    return await read(await openFile(name), {
      signal: controller.signal,
      onProgress({ loaded }) {
        if (loaded !== frames) return;
        if (how === 'throw') throw new Error('the app fails');
        controller.abort('the user has gone');
      },
    });
  },

  async aborted(name: string) {
    return await read(await openFile(name), { signal: AbortSignal.abort('gone before') });
  },

  /** With a source that lacks something, or has it in another form. */
  async changed(name: string, change: 'no file' | 'array' | 'second track' | 'other codec' | 'unknown codec') {
    const { file, track, packets } = await openFile(name);
    const config = await track.getDecoderConfig();
    const withConfig = (codec: VideoDecoderConfig | null) => ({
      file,
      packets,
      track: { getDecoderConfig: async () => codec },
    });
    if (change === 'no file') return await read({ track, packets });
    if (change === 'other codec') return await read(withConfig({ codec: 'hvc1.1.6.L93.B0' }));
    if (change === 'unknown codec') return await read(withConfig(null));
    if (change === 'second track')
      return await read({ ...withConfig(config), track: { ...withConfig(config).track, number: 2 } });
    const all = [];
    for await (const packet of packets.packets()) all.push(packet);
    return await read({ ...withConfig(config), packets: all });
  },

  async chosen(name: string, numbers: readonly number[]) {
    return await read(await openFile(name), { choose: () => numbers });
  },

  async withoutWebCodecs(name: string) {
    const { VideoDecoder } = window;
    Reflect.deleteProperty(window, 'VideoDecoder');
    const result = await read(await openFile(name));
    window.VideoDecoder = VideoDecoder;
    return result;
  },
};

declare global {
  interface Window {
    clipChecks: typeof checks;
  }
}

window.clipChecks = checks;
