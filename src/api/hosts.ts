import { isIP } from 'node:net';
import type { RequestHandler } from 'express';
import { HttpProblem } from './problems.ts';

/** The name in a Host header, without the port. */
function nameOf(header: string): string {
  const name = header.trim().toLowerCase();
  const bracketed = /^\[([0-9a-f:.%a-z]+)\](?::\d+)?$/.exec(name)?.[1];
  return bracketed ?? name.replace(/:\d+$/, '').replace(/\.$/, '');
}

/**
 * Whether a request for this host is meant for this server. An address is: a page of a stranger can make a browser ask a
 * name of the stranger's that points here (DNS rebinding), but not an address that it does not come from itself.
 */
export function isOwnHost(header: string, names: readonly string[]): boolean {
  const host = nameOf(header);
  if (isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost')) return true;
  return names.some((name) => {
    const own = name.toLowerCase();
    return own === '*' || own === host || (own.startsWith('*.') && host.endsWith(own.slice(1)));
  });
}

/** Refuses requests for hosts that are not this server's. */
export function checkHost(names: readonly string[]): RequestHandler {
  return (request, _response, next) => {
    const host = request.headers.host ?? '';
    if (!isOwnHost(host, names)) {
      throw new HttpProblem(421, 'unknownHost', `This server does not answer for the host "${host.slice(0, 200)}"`, {
        hint: 'name it in WINDLASS_HOSTS, or set WINDLASS_PUBLIC_URL to the address that people use',
      });
    }
    next();
  };
}
