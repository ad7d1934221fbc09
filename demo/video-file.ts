// A file's first video track, through Mediabunny.
import type { InputVideoTrack } from 'mediabunny';
import { BlobSource, EncodedPacketSink, Input, MATROSKA, MP4, QTFF, WEBM } from 'mediabunny';
import type { ClipSource } from '../index.ts';
import { StamError } from '../index.ts';

/** What readClip() takes. */
export interface VideoFile extends ClipSource {
  /** Lets go of the file. */
  close(): void;
}

/** Reads the header of a file. Throws bad-video when it is no video in MP4, MOV, Matroska or WebM. */
export async function openVideoFile(file: File): Promise<VideoFile> {
  const input = new Input({ source: new BlobSource(file), formats: [MP4, QTFF, MATROSKA, WEBM] });
  try {
    const track = await firstVideo(input, file.name);
    return { file, track, packets: new EncodedPacketSink(track), close: () => input.dispose() };
  } catch (error) {
    input.dispose();
    throw error;
  }
}

async function firstVideo(input: Input, name: string): Promise<InputVideoTrack> {
  const readable = await input.canRead().catch(() => false);
  const [track] = readable ? await input.getVideoTracks() : [];
  if (track) return track;
  throw new StamError('bad-video', {
    where: name,
    problem: readable ? 'there is no video in the file' : 'this kind of file cannot be read',
    expected: 'a video in MP4, MOV, Matroska or WebM',
  });
}
