// Preloaded by `test --date`: libfaketime does not reach the times of files that Node reads, so they are shifted here as the
// clock is. Else every file that a test has just written would be years old.
const fs = require('node:fs');

const offsetMs = Number(process.env.WINDLASS_CLOCK_OFFSET_SECONDS ?? 0) * 1000;

function shifted(stats) {
  if (typeof stats?.mtimeMs !== 'number') return stats;
  for (const name of ['atime', 'mtime', 'ctime', 'birthtime']) {
    const ms = stats[`${name}Ms`] + offsetMs;
    stats[`${name}Ms`] = ms;
    Object.defineProperty(stats, name, { value: new Date(ms), configurable: true, enumerable: true, writable: true });
  }
  return stats;
}
// A date of a test's own realm is no `instanceof Date` here.
const real = (time) => new Date((typeof time === 'object' ? time.getTime() : Number(time) * 1000) - offsetMs);

function wrap(target, name, make) {
  target[name] = Object.assign(make(target[name]), target[name]);
}
for (const name of ['statSync', 'lstatSync', 'fstatSync'])
  wrap(
    fs,
    name,
    (original) =>
      (...args) =>
        shifted(original(...args)),
  );
for (const name of ['stat', 'lstat', 'fstat'])
  wrap(fs, name, (original) => (...args) => {
    const callback = args.pop();
    original(...args, (error, stats) => callback(error, shifted(stats)));
  });
for (const name of ['stat', 'lstat'])
  wrap(
    fs.promises,
    name,
    (original) =>
      async (...args) =>
        shifted(await original(...args)),
  );
for (const name of ['utimesSync', 'lutimesSync', 'utimes'])
  wrap(
    fs,
    name,
    (original) =>
      (path, atime, mtime, ...rest) =>
        original(path, real(atime), real(mtime), ...rest),
  );
wrap(fs.promises, 'utimes', (original) => (path, atime, mtime) => original(path, real(atime), real(mtime)));
