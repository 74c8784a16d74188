import { celFault, envoyCelFault } from "../../../src/api/istio/expressions/envoy-expression.ts";
import { loadCel } from "../../../src/cluster/schema/crd/cel/library.ts";
import { compileRecordExpression } from "../../../src/proxy/record/record-expression.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

const self = { name: "a", list: [1, 2, 3], map: { a: 1, b: "x" }, text: "hello", n: 5 };

class Refused extends Error {}

export const target: FuzzTarget = {
  title: "CEL: rules of custom resources, and filters of access logs",
  seeds: [
    "self.name.startsWith('a') && self.list.all(x, x > 0)",
    "has(self.map.a) ? self.map['a'] == 1 : self.n in [1, 2u, 3.5, 'x', b'y', null]",
    "self.list.map(x, x * 2).exists_one(y, y % 3 == 0) || !(size(self.text) >= 5)",
    "response.code >= 400 && 'x' in request.headers && request.headers['x'].matches('^a+$')",
    "duration('1h') < duration('2s') || timestamp('2020-01-01T00:00:00Z').getFullYear() == 2020",
    "isURL(self.text) || ip('10.0.0.1').family() == 4 || cidr('10.0.0.0/8').containsIP('10.1.1.1')",
    "self.text.find('[a-z]+') == oldSelf.text.lowerAscii().substring(0, 2).replace('h', 'j')",
  ],
  words: [
    "self.list",
    "self.map",
    "oldSelf",
    ".all(x, ",
    ".exists(",
    ".map(x, x)",
    ".filter(",
    "quantity('1Gi')",
    "r'a'",
    "'''",
    "dyn(",
    "type(",
    "?:",
  ],
  maxBytes: 300,
  run: (input) => {
    const text = input.toString("utf8");
    const fault = celFault(text);
    envoyCelFault(text);
    try {
      loadCel().compile(text)({ self, oldSelf: self });
    } catch (error) {
      // A rule that does not compile, or fails when it is evaluated, must throw an error with a message.
      expectRefusal(error, Error);
      if (error instanceof TypeError) throw error;
    }
    try {
      compileRecordExpression(text, (problem) => new Refused(problem));
    } catch (error) {
      expectRefusal(error, Refused);
      if (fault === undefined) throw error;
    }
  },
};
