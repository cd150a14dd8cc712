import { Router } from 'express';
import type { Request } from 'express';
import { requirePermission } from '../access/index.ts';
import type { Principal } from '../access/index.ts';
import { carriesToken, exposition, expositionType } from '../metrics/index.ts';
import type { MetricSources } from '../metrics/index.ts';

export interface MetricsRouterOptions {
  readonly sources: MetricSources;
  /** Besides keys that may look at everything; null for none. */
  readonly token: string | null;
  readonly authenticate: (request: Request) => Promise<Principal>;
}

/** `/metrics`, where Prometheus looks first. Numbers tell of all projects, so a key of one project does not do. */
export function metricsRouter({ sources, token, authenticate }: MetricsRouterOptions): Router {
  const router = Router();
  router.get('/metrics', async (request, response) => {
    if (token === null || !carriesToken(request.get('authorization'), token))
      requirePermission(await authenticate(request), 'view');
    response
      .set('Cache-Control', 'no-store')
      .type(expositionType)
      .send(await exposition(sources));
  });
  return router;
}
