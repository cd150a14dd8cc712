import { cronProblem, nextRuns, timezoneProblem } from './cron.ts';

describe('what is a schedule', () => {
  it.each([
    '0 7 * * *',
    '00 08,20 * * *',
    '*/15 9-17 * * MON-FRI',
    '0 0 1 JAN,jul *',
    '5-59/10 * * * *',
    '0 0 * * 7',
    '0 0 29 2 *',
    '  0\t0 * * 0  ',
  ])('%s', (cron) => {
    expect(cronProblem(cron)).toBeNull();
  });

  it.each([
    ['', 'it has 0 fields, not 5 (minute hour day-of-month month day-of-week)'],
    ['0 7 * *', 'it has 4 fields, not 5 (minute hour day-of-month month day-of-week)'],
    ['60 * * * *', '"60" is no minute (0-59)'],
    ['0 0 0 * *', '"0" is no day of month (1-31)'],
    ['0 0 * 13 *', '"13" is no month (1-12)'],
    ['0 0 * * 8', '"8" is no day of week (0-7)'],
    ['0 0 * * FUN', '"FUN" is no day of week (0-7)'],
    ['0 0 * MON *', '"MON" is no month (1-12)'],
    ['0 17-9 * * *', 'the hour "17-9" runs backwards'],
    ['0 */0 * * *', 'the step of the hour "*/0" is 0'],
    ['*/90 * * * *', 'the step of the minute "*/90" is larger than 59'],
    ['5/10 * * * *', '"5/10" is read in different ways; write the range, such as "5-59/10"'],
    ['0 0 ? * *', '"?" is no day of month'],
    ['0 0 15W * *', '"15W" is no day of month'],
    ['0 0 * * 5#2', '"5#2" is no day of week'],
    ['0,, 0 * * *', '"" is no minute'],
    ['-5 * * * *', '"-5" is no minute'],
    ['0 0 30 2 *', 'no such day exists, so it would never fire'],
    [
      '0 0 */2 * 1',
      'a day of month and a day of week together mean "either" to some schedulers and "both" to others; leave one of them *, or use two schedules',
    ],
  ])('not %s', (cron, why) => {
    expect(cronProblem(cron)).toBe(`"${cron}" is not a cron expression: ${why}`);
  });
});

describe('time zones', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'])('%s', (timezone) => {
    expect(timezoneProblem(timezone)).toBeNull();
  });

  it.each([
    ['Europa/Berlin', '"Europa/Berlin" is not a time zone; did you mean "Europe/Berlin"?'],
    ['+02:00', '"+02:00" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"'],
    ['', '"" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"'],
  ])('not "%s"', (timezone, problem) => {
    expect(timezoneProblem(timezone)).toBe(problem);
  });
});

describe('next runs', () => {
  const next = (cron: string, timezone: string, from: string, count: number) =>
    nextRuns(cron, timezone, Date.parse(from), count).map((ms) => new Date(ms).toISOString().slice(0, 16));

  it('follow the clock of the time zone', () => {
    expect(next('0 7 * * 1-5', 'Europe/Berlin', '2026-11-20T12:00:00Z', 3)).toEqual([
      '2026-11-23T06:00',
      '2026-11-24T06:00',
      '2026-11-25T06:00',
    ]);
  });

  it('are after the moment asked, not at it', () => {
    expect(next('0 7 * * *', 'UTC', '2026-11-20T07:00:00Z', 1)).toEqual(['2026-11-21T07:00']);
    expect(next('0 7 * * *', 'UTC', '2026-11-20T06:59:59Z', 1)).toEqual(['2026-11-20T07:00']);
  });

  it('leave out a time that the clock change of spring leaves out', () => {
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-30T00:30',
      '2026-03-31T00:30',
    ]);
  });

  it('fire twice at a time that the clock change of autumn repeats', () => {
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 3)).toEqual([
      '2026-10-25T00:30',
      '2026-10-25T01:30',
      '2026-10-26T01:30',
    ]);
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:00:00Z', 2)).toEqual([
      '2026-10-25T01:30',
      '2026-10-26T01:30',
    ]);
    expect(next('30 * * * *', 'Europe/Berlin', '2026-10-24T23:45:00Z', 3)).toEqual([
      '2026-10-25T00:30',
      '2026-10-25T01:30',
      '2026-10-25T02:30',
    ]);
  });

  it('find rare days', () => {
    expect(next('0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual(['2028-02-29T00:00', '2032-02-29T00:00']);
  });
});
