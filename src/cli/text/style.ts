import { createColors } from 'picocolors';

export type Colors = ReturnType<typeof createColors>;

export interface Glyphs {
  readonly done: string;
  readonly failed: string;
  readonly pending: string;
  readonly skipped: string;
  readonly approval: string;
  readonly retrying: string;
  readonly stopped: string;
  readonly spinner: readonly string[];
  readonly branch: string;
  readonly lastBranch: string;
  readonly trunk: string;
  /** Before what is inside of the row above. */
  readonly inside: string;
  readonly arrow: string;
  readonly dot: string;
}

export const unicodeGlyphs: Glyphs = {
  done: '✔',
  failed: '✖',
  pending: '◌',
  skipped: '⊘',
  approval: '◷',
  retrying: '↻',
  stopped: '■',
  spinner: ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'],
  branch: '├─ ',
  lastBranch: '└─ ',
  trunk: '│  ',
  inside: '┊  ',
  arrow: '→',
  dot: '·',
};

export const asciiGlyphs: Glyphs = {
  done: '+',
  failed: 'x',
  pending: '.',
  skipped: '/',
  approval: '?',
  retrying: '~',
  stopped: '#',
  spinner: ['-', '\\', '|', '/'],
  branch: '|- ',
  lastBranch: '`- ',
  trunk: '|  ',
  inside: ':  ',
  arrow: '->',
  dot: '-',
};

export interface Style {
  readonly colors: Colors;
  readonly glyphs: Glyphs;
}

export const plainStyle: Style = { colors: createColors(false), glyphs: unicodeGlyphs };

type Variables = Readonly<Record<string, string | undefined>>;

/** NO_COLOR and FORCE_COLOR are honoured; otherwise colours are for terminals. */
export function styleFor(terminal: boolean, env: Variables, noColor = false): Style {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  const refused = noColor || Boolean(env['NO_COLOR']) || env['TERM'] === 'dumb';
  return { colors: createColors(!refused && (terminal || forced)), glyphs: isUtf8(env) ? unicodeGlyphs : asciiGlyphs };
}

function isUtf8(env: Variables): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'];
  // Containers often set no locale at all while everything that reads them takes UTF-8.
  return !locale || /utf-?8/i.test(locale);
}
