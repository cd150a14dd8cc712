import { createSharedReads } from './shared-reads.ts';

/** A read that is let go by hand and counts how often it has begun. */
function gatedRead() {
  const gates: ((value: number) => void)[] = [];
  return {
    begun: () => gates.length,
    read: () => new Promise<number>((resolve) => gates.push(resolve)),
    end: (index: number, value: number) => gates[index]?.(value),
  };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('readers of the same thing share one read that begins after they asked', async () => {
  const shared = createSharedReads();
  const source = gatedRead();
  const first = shared.read('run', source.read);
  const later = [shared.read('run', source.read), shared.read('run', source.read), shared.read('run', source.read)];
  expect(source.begun()).toBe(1);
  source.end(0, 1);
  expect(await first).toBe(1);
  await turn();
  expect(source.begun()).toBe(2);
  source.end(1, 2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
});

test('whoever asks while the second read runs gets a third, not an answer from before', async () => {
  const shared = createSharedReads();
  const source = gatedRead();
  const first = shared.read('run', source.read);
  const second = shared.read('run', source.read);
  source.end(0, 1);
  await first;
  await turn();
  const third = shared.read('run', source.read);
  source.end(1, 2);
  expect(await second).toBe(2);
  await turn();
  expect(source.begun()).toBe(3);
  source.end(2, 3);
  expect(await third).toBe(3);
});

test('a read that fails fails for those who share it and for nobody after them', async () => {
  const shared = createSharedReads();
  let calls = 0;
  const broken = (): Promise<number> => {
    calls++;
    return Promise.reject(new Error('away'));
  };
  const both = await Promise.allSettled([shared.read('run', broken), shared.read('run', broken)]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(calls).toBe(2);
  expect(await shared.read('run', () => Promise.resolve(7))).toBe(7);
});

test('no more than so many reads are open at a time, and who waits for a turn can still be joined', async () => {
  const shared = createSharedReads(2);
  const source = gatedRead();
  const reads = ['a', 'b', 'c', 'c', 'd'].map((key) => shared.read(key, source.read));
  const alone = shared.readAlone(source.read);
  await turn();
  expect(source.begun()).toBe(2);
  for (let index = 0; index < 5; index++) {
    source.end(index, index);
    await turn();
    expect(source.begun()).toBe(Math.min(index + 3, 5));
  }
  expect(await Promise.all([...reads, alone])).toEqual([0, 1, 2, 2, 3, 4]);
});

test('different things are read beside each other', () => {
  const shared = createSharedReads();
  const source = gatedRead();
  void shared.read('a', source.read);
  void shared.read('b', source.read);
  expect(source.begun()).toBe(2);
});
