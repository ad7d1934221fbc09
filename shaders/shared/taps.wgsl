// Sums of bytes times weights in units of 2^-22, back to bytes as Pillow rounds them: a half is added, then the rest cut off.
const HALF = 2097152;

fn to_bytes(sum: vec3i) -> vec3u { return vec3u(clamp(sum >> vec3u(22), vec3i(0), vec3i(255))); }

fn quad_to_bytes(sum: vec4i) -> vec4u { return vec4u(clamp(sum >> vec4u(22), vec4i(0), vec4i(255))); }
