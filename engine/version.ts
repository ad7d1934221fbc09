// The version of the package, known to bundles only: build.mjs reads it from package.json and puts it in place.

declare const __VERSION__: string;

/** As package.json says, or `0.0.0-source` where the sources run without a bundle. */
export const version: string = typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-source';
