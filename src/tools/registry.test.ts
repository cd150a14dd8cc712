import { createRunners, runnableTypes } from './index.ts';

test('types without a runner are refused with the list of those that have one', () => {
  const runners = createRunners({
    tools: { find: () => Promise.reject(new Error('not asked')) },
    cacheDirectory: '/nowhere',
  });
  expect(runners.supported()).toEqual(['opentofu', 'terraform', 'shell']);
  expect(runners.supported()).toEqual(runnableTypes());
  expect(runners.get('shell')).not.toBe(runners.get('opentofu'));
  expect(runners.get('terraform')).toBe(runners.get('opentofu'));
  expect(() => runners.get('pulumi')).toThrow(
    expect.objectContaining({
      class: 'definition',
      message: expect.stringContaining('"pulumi"'),
      hint: 'It runs opentofu, terraform, shell.',
    }),
  );
});
