// An app with a renderer of its own classifies what it renders. One device, one command encoder, one submit: the frames never leave the
// GPU, and neither do the logits.
import { loadStam, requiredDevice } from '../../index.ts'; // 'stam-webgpu' in your app
import { syntheticWeights, tiny } from '../models.ts';

const canvas = document.querySelector('canvas');
const adapter = await navigator.gpu?.requestAdapter();
const context = canvas?.getContext('webgpu') ?? undefined;
const status = (text: string) => document.querySelector('#status')?.replaceChildren(text);
if (!adapter || !context) {
  status('This page needs WebGPU.');
  throw new Error('no WebGPU');
}
const screen = context;

// The app's own device. requiredDevice() names what the model can use; add what your app needs.
export const device = await adapter.requestDevice(requiredDevice(adapter));
const format = navigator.gpu.getPreferredCanvasFormat();
screen.configure({ device, format });

// The model takes the device, and will never destroy it. Give it the bytes of your checkpoint in place of these weights.
export const stam = await loadStam(syntheticWeights(tiny), { device });

// What the app draws: a triangle, turned by the number of the frame (first_instance), into one texture a frame.
const scene = device.createShaderModule({
  code: `
  struct Corner { @builtin(position) at: vec4f, @location(0) color: vec3f }
  @vertex fn corner(@builtin(vertex_index) i: u32, @builtin(instance_index) frame: u32) -> Corner {
    let angle = f32(i) * 2.0944 + f32(frame) * 0.1;
    return Corner(vec4f(0.8 * cos(angle), 0.8 * sin(angle), 0, 1), vec3f(f32(i == 0), f32(i == 1), f32(i == 2)));
  }
  @fragment fn color(in: Corner) -> @location(0) vec4f { return vec4f(in.color, 1); }`,
});
const triangle = device.createRenderPipeline({
  layout: 'auto',
  vertex: { module: scene },
  fragment: { module: scene, targets: [{ format: 'rgba8unorm' }] },
});
export const textures = Array.from({ length: stam.config.frames }, () =>
  device.createTexture({
    size: [256, 192], // any size: the model resizes and crops
    format: 'rgba8unorm',
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING,
  }),
);

await stam.prepare({ pictures: textures }); // once for each size: encode() does not wait

// How the app reads the logits: straight out of the model's buffer, one bar for each class.
const chart = device.createShaderModule({
  code: `
  @group(0) @binding(0) var<storage> logits: array<f32>; // [400]
  @vertex fn bar(@builtin(vertex_index) i: u32, @builtin(instance_index) class_index: u32) -> @builtin(position) vec4f {
    let left = -1.0 + 2.0 * f32(class_index) / 400.0;
    let top = select(0.0, logits[class_index] * 0.2, i >= 2);
    return vec4f(left + select(0.0, 0.004, (i & 1) == 1), top, 0, 1);
  }
  @fragment fn color() -> @location(0) vec4f { return vec4f(0.12, 0.42, 0.44, 1); }`,
});
const bars = device.createRenderPipeline({
  layout: 'auto',
  vertex: { module: chart },
  fragment: { module: chart, targets: [{ format }] },
  primitive: { topology: 'triangle-strip' },
});

/** Draws F frames, classifies them and shows the logits. Returns the model's buffer: [1, 400] in float32. */
export async function drawAndClassify(turn: number): Promise<GPUBuffer> {
  const encoder = device.createCommandEncoder();
  const draw = (view: GPUTextureView, pipeline: GPURenderPipeline, record: (pass: GPURenderPassEncoder) => void) => {
    const clearValue = { r: 1, g: 1, b: 1, a: 1 };
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, clearValue, loadOp: 'clear', storeOp: 'store' }],
    });
    pass.setPipeline(pipeline);
    record(pass);
    pass.end();
  };
  for (const [i, texture] of textures.entries()) {
    draw(texture.createView(), triangle, (pass) => pass.draw(3, 1, 0, turn + i));
  }
  const logits = stam.encode(encoder, textures); // records; submits nothing
  const resource = { buffer: logits };
  const group = device.createBindGroup({ layout: bars.getBindGroupLayout(0), entries: [{ binding: 0, resource }] });
  draw(screen.getCurrentTexture().createView(), bars, (pass) => {
    pass.setBindGroup(0, group);
    pass.draw(4, 400);
  });
  device.queue.submit([encoder.finish()]);
  return logits;
}

async function animate(): Promise<never> {
  for (let turn = 0; ; turn++) {
    await drawAndClassify(turn);
    await device.queue.onSubmittedWorkDone();
    status(`${turn + 1} videos of ${stam.config.frames} frames drawn and classified`);
    await new Promise(requestAnimationFrame);
  }
}

animate().catch((error: unknown) => status(String(error)));
