/** Slows down whoever tries keys that are not good, and nobody else. */
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface Pace {
  /** Tries that are answered at once. */
  readonly burst: number;
  /** Then one in this time. */
  readonly everyMs: number;
}

/** Entries of each kind that are remembered: the one that was heard of longest ago makes place. */
const mostRemembered = 10_000;
const ofAddress: Pace = { burst: 20, everyMs: 2000 };
const ofKey: Pace = { burst: 10, everyMs: 5000 };

/** What is remembered of a source of tries: it is at rest again at this moment, and its burst was told of. */
interface Bucket {
  readonly restsAtMs: number;
  readonly told: boolean;
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > mostRemembered && oldest !== undefined) map.delete(oldest);
}

/** Counts tries by source, each at its own pace. Its memory is bounded. */
class Tries {
  private readonly buckets = new Map<string, Bucket>();
  private readonly pace: Pace;

  constructor(pace: Pace) {
    this.pace = pace;
  }

  /** How long until another try is answered; 0 when it is at once. */
  waitMs(source: string, nowMs: number): number {
    const { burst, everyMs } = this.pace;
    const ahead = (this.buckets.get(source)?.restsAtMs ?? 0) - nowMs;
    return Math.max(0, ahead - (burst - 1) * everyMs);
  }

  /** Counts a bad try. Answers whether a burst has begun that nobody was told of yet. */
  add(source: string, nowMs: number): boolean {
    const known = this.buckets.get(source);
    const rests = known === undefined || known.restsAtMs <= nowMs;
    const restsAtMs = (rests ? nowMs : known.restsAtMs) + this.pace.everyMs;
    const told = !rests && known.told;
    remember(this.buckets, source, { restsAtMs, told });
    if (told || this.waitMs(source, nowMs) === 0) return false;
    remember(this.buckets, source, { restsAtMs, told: true });
    return true;
  }
}

/** The address that tries are counted for: of IPv6 the network, of which one host may use all addresses. */
export function countedAddress(address: string): string {
  const plain = address.replace(/^::ffff:/i, '');
  if (isIPv4(plain) || !plain.includes(':')) return plain;
  const [before = '', after] = (plain.split('%')[0] ?? '').split('::');
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const groups =
    after === undefined
      ? head
      : [...head, ...Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0'), ...tail];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** A burst of bad tries, as it is written down once. */
export interface Burst {
  readonly by: 'address' | 'key';
  /** The address, or the part of the key that is no secret. */
  readonly source: string;
}

export interface BadKeys {
  /** How long this key has to wait before it is looked at at all; 0 for good ones, as far as is known. */
  waitMs(token: string): number;
  /** Counts a refusal. Answers how long its source has to wait from now on, and the bursts that begin with it. */
  refused(token: string, address: string): { readonly waitMs: number; readonly bursts: readonly Burst[] };
  /** A key that was good is not slowed by somebody who guesses at its secret. */
  good(token: string): void;
}

/** The part of a key that says which one it is; null when it is none. */
export function keyPrefix(token: string): string | null {
  return /^wlk_[0-9a-z]{20}(?=_)/.exec(token)?.[0] ?? null;
}

/**
 * Guesses at one key are few, wherever they come from. Keys that do not exist cannot be guessed, so that they are looked up
 * all the same and only their answers are counted for the address: behind one address a good key works beside bad ones.
 */
export function createBadKeys(clock: () => number = Date.now): BadKeys {
  const byAddress = new Tries(ofAddress);
  const byKey = new Tries(ofKey);
  const goodOnes = new Map<string, true>();
  const digest = (token: string): string => createHash('sha256').update(token).digest('base64');
  return {
    waitMs(token) {
      const prefix = keyPrefix(token);
      return prefix === null || goodOnes.has(digest(token)) ? 0 : byKey.waitMs(prefix, clock());
    },
    refused(token, address) {
      const now = clock();
      goodOnes.delete(digest(token));
      const prefix = keyPrefix(token);
      const from = countedAddress(address);
      // What is refused while it waits is not counted: a client that keeps asking is let in as soon as one that does not.
      const waited = byAddress.waitMs(from, now);
      const bursts: Burst[] = [];
      if (waited === 0 && byAddress.add(from, now)) bursts.push({ by: 'address', source: from });
      if (prefix !== null && byKey.add(prefix, now)) bursts.push({ by: 'key', source: prefix });
      return { waitMs: waited, bursts };
    },
    good(token) {
      remember(goodOnes, digest(token), true);
    },
  };
}
