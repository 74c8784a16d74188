import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { istioKinds } from "./istio-kinds.ts";

/** Fields that lead to many code paths, so that random objects get deep into the parsers. */
const fields = [
  ..."spec metadata annotations labels name namespace hosts http tls tcp match route destination host port number protocol subset subsets weight gateways exportTo servers".split(
    " ",
  ),
  ..."uri headers exact prefix regex redirect rewrite retries fault abort delay percentage value timeout trafficPolicy loadBalancer consistentHash httpCookie localityLbSetting".split(
    " ",
  ),
  ..."distribute from to failover outlierDetection connectionPool portLevelSettings endpoints address addresses ports workloadSelector selector matchLabels targetRefs rules source".split(
    " ",
  ),
  ..."operation when key values jwtRules jwks jwksUri fromHeaders tracing metrics overrides tagOverrides providers customTags template probe httpGet configPatches patch applyTo".split(
    " ",
  ),
  ..."ingress egress bind defaultEndpoint url vmConfig env wasm lua mtls mode portLevelMtls sniHosts destinationSubnets path paths ipBlocks principals __proto__ constructor".split(
    " ",
  ),
];
const scalars = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "*",
    "*.a.b",
    "10.0.0.0/8",
    "10s",
    "MUTUAL",
    "unix:///s",
    "./a.b",
    "%",
    "(",
    "a/b",
    ".",
    "~",
    "GET",
    "{**}",
  ),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "large", withCrossShrink: true },
    scalars,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...fields), tie("tree"), { maxKeys: 6 }),
  ),
}));

test("no input makes a parser throw, and a value exists exactly if there are no errors", () => {
  const object = fc.oneof(
    tree,
    fc.record({
      metadata: fc.oneof(fc.constant({ name: "a", namespace: "b" }), tree),
      spec: fc.dictionary(fc.constantFrom(...fields), tree, { maxKeys: 8 }),
    }),
  );
  fc.assert(
    fc.property(object, (raw) => {
      for (const kind of istioKinds) {
        const parsed = kind.parse?.(raw);
        assert.equal(parsed?.value !== undefined, parsed?.errors.length === 0);
        assert.ok(parsed?.errors.every((issue) => issue.message !== ""));
      }
    }),
    { numRuns: 300 },
  );
});
