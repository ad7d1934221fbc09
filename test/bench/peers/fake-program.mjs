// Stands in for a program of a comparison: speaks the protocol, computes nothing. FAKE says how it behaves.
const { FAKE = 'right', FAKE_LIBRARY = 'libvulkan_fake.so' } = process.env;
const [name] = process.argv.slice(2);

process.on('disconnect', () => process.exit());
process.on('message', ({ task, request }) => {
  if (task === 'adapter') {
    // the driver good.json shows the adapter asked for, many.json a second one beside it, any other driver something else
    const driver = (process.env.VK_DRIVER_FILES ?? '').split(/[/:]/).at(-1);
    const isSeen = request.choice !== 'auto' || driver === 'good.json' || driver === 'many.json';
    const adapter = {
      vendor: 'v',
      architecture: '',
      device: isSeen ? 'wanted' : 'other',
      description: '',
      software: false,
    };
    process.send({
      reply: { adapter, origin: 'system', names: driver === 'many.json' ? ['wanted', 'second'] : ['wanted'] },
    });
  } else if (task === 'load') {
    const libraries = ['libc.so.6', FAKE_LIBRARY];
    process.send({ reply: { version: `1.2.3 ${request.model}`, dtype: 'f32', adapter: undefined, libraries } });
  } else if (FAKE === 'slow' && name === 'theirs') {
    return; // never answers
  } else if (FAKE === 'crash') {
    process.stderr.write('the driver is gone\n', () => process.exit(7));
  } else if (FAKE === 'refusal') {
    process.send({ error: 'no memory left' });
  } else if (task === 'warmUp') process.send({ reply: { ms: 5, cpuMs: 9, logits: new Float32Array() } });
  else {
    const logits = Float32Array.of(1, 2, FAKE === 'wrong' ? 3.001 : 3);
    process.send({ reply: { ms: name === 'theirs' ? 30 : 10, cpuMs: 18, logits } });
  }
});
