// Every operator in plain loops and double precision: the definition of what the kernels compute.
// Arguments stand in the order of the kernels' bindings; tensors are dense and row-major.

type Numbers = ArrayLike<number>;

/** The error function, by its Maclaurin series below 3 and a continued fraction of erfc above; good to 1e-15. */
export function erf(x: number): number {
  const t = Math.abs(x);
  if (t < 3) {
    let term = t;
    let sum = t;
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= (-t * t) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (t + fraction);
  return Math.sign(x) * (1 - Math.exp(-t * t) / Math.sqrt(Math.PI) / (t + fraction));
}

export const activations = {
  none: (x: number) => x,
  relu: (x: number) => Math.max(0, x),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  swish: (x: number) => x / (1 + Math.exp(-x)),
};

/** [M, K], [N, K] -> [M, N]: activation(input weight^T + bias) + residual, or activation of the whole sum */
export function linear(
  input: Numbers,
  weight: Numbers,
  {
    k,
    bias,
    activation = 'none',
    residual,
    activateSum = false,
  }: { k: number; bias?: Numbers; activation?: keyof typeof activations; residual?: Numbers; activateSum?: boolean },
): Float64Array {
  const activate = activations[activation];
  const m = input.length / k;
  const n = weight.length / k;
  const output = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = bias ? bias[column] : 0;
      for (let i = 0; i < k; i++) sum += input[row * k + i] * weight[column * k + i];
      const added = residual ? residual[row * n + column] : 0;
      output[row * n + column] = activateSum ? activate(sum + added) : activate(sum) + added;
    }
  }
  return output;
}

/** [F, 3, S, S], [C, 3, P, P], [C] -> [F, (S/P)^2, C] */
export function patchEmbed(
  frames: Numbers,
  weight: Numbers,
  bias: Numbers,
  { size, patch }: { size: number; patch: number },
): Float64Array {
  const grid = size / patch;
  const k = 3 * patch * patch;
  const patches = new Float64Array((frames.length / (3 * size * size)) * grid * grid * k);
  let i = 0;
  for (let frame = 0; frame < frames.length / (3 * size * size); frame++) {
    for (let p = 0; p < grid * grid; p++) {
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patch; y++) {
          for (let x = 0; x < patch; x++) {
            const row = Math.floor(p / grid) * patch + y;
            const column = (p % grid) * patch + x;
            patches[i++] = frames[((frame * 3 + channel) * size + row) * size + column];
          }
        }
      }
    }
  }
  return linear(patches, weight, { k, bias });
}

/** [B, T - 1, C], [C], [T, C] -> [B, T, C]: concat(classToken, input) + positions */
export function assembleTokens(
  input: Numbers,
  classToken: Numbers,
  positions: Numbers,
  { channels }: { channels: number },
): Float64Array {
  const tokens = positions.length / channels;
  const sequences = input.length / channels / (tokens - 1);
  const output = new Float64Array(sequences * positions.length);
  for (let b = 0; b < sequences; b++) {
    for (let t = 0; t < tokens; t++) {
      for (let c = 0; c < channels; c++) {
        const value = t === 0 ? classToken[c] : input[(b * (tokens - 1) + t - 1) * channels + c];
        output[(b * tokens + t) * channels + c] = value + positions[t * channels + c];
      }
    }
  }
  return output;
}

/** [R, C], [C], [C] -> [R, C] */
export function layerNorm(
  input: Numbers,
  weight: Numbers,
  bias: Numbers,
  { epsilon }: { epsilon: number },
): Float64Array {
  const length = weight.length;
  const output = new Float64Array(input.length);
  for (let start = 0; start < input.length; start += length) {
    const row = Array.from({ length }, (_, i) => input[start + i]);
    const mean = row.reduce((sum, x) => sum + x, 0) / length;
    const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / length;
    row.forEach((x, i) => {
      output[start + i] = ((x - mean) / Math.sqrt(variance + epsilon)) * weight[i] + bias[i];
    });
  }
  return output;
}

/** [B, T, 3, H, D] -> [B, T, H, D] */
export function attention(
  qkv: Numbers,
  { tokens, heads, dimension }: { tokens: number; heads: number; dimension: number },
): Float64Array {
  const channels = heads * dimension;
  const output = new Float64Array(qkv.length / 3);
  const at = (b: number, t: number, which: number, h: number) =>
    ((b * tokens + t) * 3 + which) * channels + h * dimension;
  for (let b = 0; b < qkv.length / (3 * channels * tokens); b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < tokens; i++) {
        const scores = Array.from({ length: tokens }, (_, j) => {
          const [query, key] = [at(b, i, 0, h), at(b, j, 1, h)];
          let product = 0;
          for (let d = 0; d < dimension; d++) product += qkv[query + d] * qkv[key + d];
          return product / Math.sqrt(dimension);
        });
        const peak = scores.reduce((a, c) => Math.max(a, c));
        const shares = scores.map((score) => Math.exp(score - peak));
        const total = shares.reduce((a, c) => a + c);
        const sums = new Float64Array(dimension);
        shares.forEach((share, j) => {
          const value = at(b, j, 2, h);
          for (let d = 0; d < dimension; d++) sums[d] += share * qkv[value + d];
        });
        output.set(
          sums.map((sum) => sum / total),
          (b * tokens + i) * channels + h * dimension,
        );
      }
    }
  }
  return output;
}

/**
 * Pillow's Image.resize((toWidth, toHeight), BILINEAR) of R G B bytes [H, W, 3] -> [toHeight, toWidth, 3], as Resample.c computes it:
 * along rows first, rounded to bytes, then along columns; an axis that keeps its length is left alone.
 */
export function resizeBilinear(
  pixels: Uint8Array,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Uint8Array {
  const across = toWidth === width ? pixels : resampleAxis(pixels, [height, width, 3], toWidth);
  if (toHeight === height) return across;
  return resampleAxis(across, [1, height, 3 * toWidth], toHeight);
}

/** Resamples the middle one of three axes, [A, B, C] -> [A, to, C]. */
function resampleAxis(input: Uint8Array, [outer, from, inner]: readonly [number, number, number], to: number) {
  const output = new Uint8Array(outer * to * inner);
  const filterScale = Math.max(from / to, 1);
  for (let x = 0; x < to; x++) {
    const center = (x + 0.5) * (from / to);
    const lowest = Math.max(Math.trunc(center - filterScale + 0.5), 0);
    const highest = Math.min(Math.trunc(center + filterScale + 0.5), from);
    const coefficients: number[] = [];
    for (let i = 0; i < highest - lowest; i++) {
      const distance = Math.abs((i + lowest - center + 0.5) * (1 / filterScale));
      coefficients.push(distance < 1 ? 1 - distance : 0);
    }
    const total = coefficients.reduce((a, b) => a + b, 0);
    const integers = coefficients.map((c) => Math.trunc((total === 0 ? c : c / total) * (1 << 22) + 0.5));
    for (let a = 0; a < outer; a++) {
      for (let c = 0; c < inner; c++) {
        let sum = 1 << 21;
        integers.forEach((k, i) => {
          sum += k * input[(a * from + lowest + i) * inner + c];
        });
        output[(a * to + x) * inner + c] = Math.min(255, Math.max(0, sum >> 22));
      }
    }
  }
  return output;
}

/** A crop of R G B bytes [H, W, 3] -> [size, size, 3]; what lies outside of the picture is black. */
export function crop(
  pixels: Uint8Array,
  [width, height]: readonly [number, number],
  { left, top, size }: { left: number; top: number; size: number },
): Uint8Array {
  const output = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [fromX, fromY] = [left + x, top + y];
      if (fromX < 0 || fromY < 0 || fromX >= width || fromY >= height) continue;
      for (let c = 0; c < 3; c++) output[(y * size + x) * 3 + c] = pixels[(fromY * width + fromX) * 3 + c];
    }
  }
  return output;
}

/**
 * Planes of luma [H, W] and chroma [H / 2, W / 2], rounded up, to R G B bytes [H, W, 3]: swscale's converter for x86 (FFmpeg
 * libswscale/yuv2rgb.c), BT.601, each chroma sample used for two by two pixels. Products are cut to their upper 16 bits.
 */
export function planesToRgb(
  [luma, u, v]: readonly [Uint8Array, Uint8Array, Uint8Array],
  width: number,
  { fullRange }: { fullRange: boolean },
): Uint8Array {
  // coefficients of yuv2rgb.c's table for BT.601 in units of 2^-16, brought to units of 2^-13 as the SIMD code has them
  const scale = (coefficient: number) => Math.floor(coefficient / 8 + 0.5);
  const stretch = (coefficient: number) => Math.trunc((coefficient * 224) / 255);
  const [red, blue, greenU, greenV] = [104597, 132201, -25675, -53279].map((c) => scale(fullRange ? stretch(c) : c));
  const gain = scale(fullRange ? 65536 : Math.trunc((65536 * 255) / 219));
  const upper = (product: number) => Math.floor(product / 65536);
  const output = new Uint8ClampedArray(luma.length * 3);
  for (let i = 0; i < luma.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const chroma = (y >> 1) * Math.ceil(width / 2) + (x >> 1);
    const bright = upper((8 * luma[i] - (fullRange ? 0 : 128)) * gain);
    const [du, dv] = [8 * u[chroma] - 1024, 8 * v[chroma] - 1024];
    output[3 * i] = bright + upper(dv * red);
    output[3 * i + 1] = bright + upper(du * greenU) + upper(dv * greenV);
    output[3 * i + 2] = bright + upper(du * blue);
  }
  return new Uint8Array(output.buffer);
}

/** ToTensor: bytes [H, W, 3] -> float32 in 0..1, [3, H, W]. */
export function toTensor(pixels: Uint8Array): Float32Array {
  const plane = pixels.length / 3;
  return Float32Array.from({ length: pixels.length }, (_, i) => pixels[(i % plane) * 3 + Math.floor(i / plane)] / 255);
}

/** [...], [...] -> [...] */
export function add(left: Numbers, right: Numbers): Float64Array {
  return Float64Array.from({ length: left.length }, (_, i) => left[i] + right[i]);
}
