import fc from 'fast-check';
import { matchPattern, patternProblem } from './pattern.ts';
import { resolveVariables } from './variables.ts';

describe('patterns of users', () => {
  it('answer, or say why not', () => {
    expect(matchPattern('^a.c$', 'abc')).toEqual({ matches: true, problem: null });
    expect(matchPattern('^a.c$', 'abc\n')).toEqual({ matches: false, problem: null });
    expect(matchPattern('x', 'abc')).toEqual({ matches: false, problem: null });
    expect(matchPattern('^(?<year>\\d{4})-\\u00e9[\\w-]+$', '2026-éab-c')).toEqual({ matches: true, problem: null });
    expect(matchPattern('x', 'a'.repeat(10_001)).problem).toBe(
      'a text of 10001 characters is too long for a pattern (10000)',
    );
    expect(matchPattern('x'.repeat(501), 'x').problem).toBe('a pattern may have 500 characters, this one has 501');
  });

  it('that would hold a backtracking matcher for seconds get an answer', () => {
    const text = `${'a'.repeat(9_000)}!`;
    for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '^(.*a){12}$', '^(a*)*$', '^([a-z]+)*$'])
      for (let times = 0; times < 5; times++)
        expect(matchPattern(pattern, text)).toEqual({ matches: false, problem: null });
  });

  it('say the same as JavaScript for what both have', () => {
    const piece = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(a|b)', '(?:ab)', '\\d', '\\w', '-', '^', '$', '\\b');
    const times = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '*?');
    const pattern = fc
      .array(fc.tuple(piece, times), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.map(([one, more]) => (/^[\^$]$|^\\b$/.test(one) ? one : one + more)).join(''));
    const text = fc
      .array(fc.constantFrom('a', 'b', '1', '-', ' ', 'é'), { maxLength: 12 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(pattern, text, (one, other) => {
        expect(matchPattern(one, other)).toEqual({ matches: new RegExp(one).test(other), problem: null });
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['^(?=.*x).+$', 'a look-ahead, "(?=", at character 2'],
    ['a(?!b)', 'a negative look-ahead, "(?!", at character 2'],
    ['(?<=a)b', 'a look-behind, "(?<=", at character 1'],
    ['xx(?<!a)b', 'a negative look-behind, "(?<!", at character 3'],
    ['\\\\1(a)\\1', 'a back reference, "\\1", at character 7'],
    ['(?<n>a)\\k<n>', 'a back reference, "\\k<", at character 8'],
  ])('are refused with the place for what cannot run in linear time: %s', (pattern, why) => {
    expect(patternProblem(pattern)).toContain(why);
    expect(patternProblem(pattern)).toMatch(/linear time \(RE2\), which has none; \w+/);
    expect(matchPattern(pattern, 'ab').problem).toBe(patternProblem(pattern));
  });

  it('in a class may hold the same characters', () => {
    expect(patternProblem('[(?=!<1]')).toBeNull();
    expect(patternProblem('\\(\\?=')).toBeNull();
  });

  it.each([
    ['a{1001}', 'invalid repeat count "{1001}" at character 2'],
    ['x[z-a]', 'invalid character class range "z-a" at character 3'],
    ['(a', 'missing closing )'],
    ['a++', 'invalid nested repetition operator "++" at character 2'],
  ])('are refused with the place when they are none: %s', (pattern, why) => {
    expect(patternProblem(pattern)).toBe(`"${pattern}" is not a regular expression: ${why}`);
  });

  it('are not run when repetitions have blown them up beyond the text', () => {
    const { problem } = matchPattern('^[ab]*a[ab]{500}$', 'ab'.repeat(5000));
    expect(problem).toContain('too many for a text of 10000 characters; write fewer repetitions');
    expect(matchPattern('^[ab]{500}$', 'ab'.repeat(250)).matches).toBe(true);
  });

  it('that were stored before and cannot be run any more name their variable', () => {
    const { problems } = resolveVariables([
      {
        level: 'project',
        variables: [{ name: 'REGION', kind: 'tool', type: 'text', value: 'eu-1', regex: '^(?!us).*' }],
      },
    ]);
    expect(problems.map(({ message }) => message)).toEqual([
      'variable "REGION" cannot be checked: "^(?!us).*" has a negative look-ahead, "(?!", at character 2: patterns run in linear time (RE2), which has none; write out what is possible, or list the values with "allowed" (project level)',
    ]);
  });
});
