// The one function for frames of a video in a browser. What it takes is loaded when it is called: many apps have frames of their own.
import type { Clip, ClipSource, ReadClipOptions } from './clip.ts';
import type { ClipRule } from './frame-choice.ts';

/**
 * Reads the frames of the first clip that the official code takes from a video: what `samplingOf(stam.config)` says, counted as torchvision
 * and ffmpeg count, with edit lists, variable rates and frames that are stored out of order. The result says whether the choice is official. Only
 * what leads to the chosen frames is decoded.
 *
 * With Mediabunny: `readClip({ file, track, packets: new EncodedPacketSink(track) }, samplingOf(stam.config))`. Of another demuxer, `packets` are all
 * packets in an array: of the samples that mp4box.js gives to onSamples(),
 * `samples.map((sample) => ({ type: sample.is_sync ? 'key' : 'delta', timestamp: sample.cts / sample.timescale,
 * duration: sample.duration / sample.timescale, data: sample.data ?? new Uint8Array() }))`, and `track` is `{ getDecoderConfig: async () => config }`.
 * A packet in an array is only to be called a key frame where decoding can begin, which mp4box.js also calls some of an open GOP.
 *
 * Throws bad-video for a video that is too short for a clip, has no rate, or does not decode; unsupported where the demuxer does not know its
 * codec or this browser does not decode it; and what the demuxer and `file` throw. An aborted call rejects with the signal's reason. Whatever fails leaves
 * no frame open.
 */
export async function readClip(source: ClipSource, sampling: ClipRule, options?: ReadClipOptions): Promise<Clip> {
  const reader = await import('./clip-reader.ts');
  return await reader.readClip(source, sampling, options);
}
