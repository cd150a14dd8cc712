/** Unit tests lie beside the code; scenario tests with real servers lie in test/. */
const shared = {
  testEnvironment: '<rootDir>/scripts/jest-environment.cjs',
  transform: {
    // They load Node's own modules with import(), which Jest cannot do; compiled to CommonJS it can.
    '/(@electric-sql/pglite|@opentelemetry/otlp-exporter-base)/.+\\.c?js$': [
      '@swc/jest',
      { jsc: { target: 'es2023' }, module: { type: 'commonjs' } },
    ],
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  transformIgnorePatterns: ['/node_modules/(?!(@electric-sql/pglite|@opentelemetry/otlp-exporter-base)/)'],
  extensionsToTreatAsEsm: [],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  setupFilesAfterEnv: ['<rootDir>/scripts/jest-setup.cjs'],
};
module.exports = {
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/src/**/*.test.ts'] },
    { ...shared, displayName: 'scenario', testMatch: ['<rootDir>/test/**/*.test.ts'] },
  ],
};
