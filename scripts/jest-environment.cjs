// Jest runs tests in a realm of their own, in which an error thrown by Node itself (a missing file, say) is not an
// `instanceof Error`. In production there is one realm, so the tests are made to see it that way too.
const { TestEnvironment: NodeEnvironment } = require('jest-environment-node');

const shared = ['Error', 'TypeError', 'RangeError', 'SyntaxError', 'AggregateError'];
const isInstance = Function.prototype[Symbol.hasInstance];

class OneRealmEnvironment extends NodeEnvironment {
  constructor(...args) {
    super(...args);
    for (const name of shared) {
      const inner = this.global[name];
      const outer = globalThis[name];
      Object.defineProperty(inner, Symbol.hasInstance, {
        value(thrown) {
          // Subclasses inherit this; for them the ordinary rule holds.
          return isInstance.call(this, thrown) || (this === inner && isInstance.call(outer, thrown));
        },
      });
    }
  }
}

module.exports = OneRealmEnvironment;
