import { dirname, join } from 'node:path';
import express, { Router } from 'express';
import helmet from 'helmet';

const staticDirectory = join(__dirname, 'static');
const eventParserDirectory = dirname(require.resolve('eventsource-parser'));
const swaggerDirectory = dirname(require.resolve('swagger-ui-dist/package.json'));

/** Nothing comes from other hosts, and nothing may frame us. */
const strictPolicy = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'", 'data:'],
  connectSrc: ["'self'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"],
};

/** Headers of every answer. */
export const securityHeaders = helmet({
  contentSecurityPolicy: { useDefaults: false, directives: strictPolicy },
  // TLS ends in front of Windlass, if anywhere: promising it for the host is not ours to do.
  strictTransportSecurity: false,
  referrerPolicy: { policy: 'no-referrer' },
});

/** Swagger UI writes style attributes. */
const docsHeaders = helmet.contentSecurityPolicy({
  useDefaults: false,
  directives: { ...strictPolicy, styleSrc: ["'self'", "'unsafe-inline'"] },
});

const docsPage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Windlass API</title>
    <link rel="icon" href="/static/icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="/docs/api/assets/swagger-ui.css" />
  </head>
  <body>
    <p style="margin: 0.75rem 1.75rem 0; font-family: system-ui, sans-serif"><a href="/">← Windlass</a></p>
    <div id="swagger-ui"></div>
    <noscript>This page needs JavaScript. The document itself: <a href="/api/v1/openapi.json">openapi.json</a></noscript>
    <script src="/docs/api/assets/swagger-ui-bundle.js"></script>
    <script src="/static/docs.js"></script>
  </body>
</html>
`;

/** The landing page and the page to browse the API, all from this machine. */
export function pagesRouter(): Router {
  const router = Router();
  router.get('/docs/api', docsHeaders, (_request, response) => {
    response.type('html').send(docsPage);
  });
  const assets = ['swagger-ui.css', 'swagger-ui-bundle.js'];
  router.get('/docs/api/assets/:name', (request, response, next) => {
    if (!assets.includes(request.params.name)) return next();
    response.sendFile(request.params.name, { root: swaggerDirectory, maxAge: '1d' });
  });
  router.get('/static/eventsource-parser.js', (_request, response) => {
    response.sendFile('index.js', { root: eventParserDirectory, maxAge: '1d' });
  });
  router.use('/static', express.static(staticDirectory, { index: false, fallthrough: true, maxAge: '1m' }));
  router.get('/', (_request, response) => {
    response.sendFile('index.html', { root: staticDirectory });
  });
  return router;
}
