import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Port 0 answers a free one. null when somebody else has the port. */
function tryListen(host: string, port: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}

/** The first of the preferred ports that nobody has, or any free one. Rejects when the host is not this machine. */
export async function choosePort(host: string, preferred: readonly number[]): Promise<number> {
  for (const port of [...preferred, 0]) {
    const found = await tryListen(host, port);
    if (found !== null) return found;
  }
  throw new Error(`${host} has no free port`);
}

export async function isPortFree(host: string, port: number): Promise<boolean> {
  return (await tryListen(host, port)) !== null;
}
