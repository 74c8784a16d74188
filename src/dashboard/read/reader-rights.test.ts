import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import { canaryKind, checkKind, freezeKind, meshUpgradeKind } from "../../api/serin/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { MeshReader } from "./mesh-reader.ts";
import { SmallCluster } from "./testing/small-cluster.ts";

const maxTurns = 10_000;

interface Role {
  readonly kind: string;
  readonly rules: readonly { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
}

function kialiRights(): string[] {
  const file = join(import.meta.dirname, "../../../samples/addons/kiali.yaml");
  return parseAllDocuments(readFileSync(file, "utf8"))
    .map((document) => document.toJS() as Role)
    .filter(({ kind }) => kind === "ClusterRole")
    .flatMap(({ rules }) => rules)
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}.${group}`)),
      ),
    )
    .toSorted();
}

/** The kinds whose objects have pages of their own. A page asks whether its reader may get the object. */
const pageKinds: readonly KindDefinition[] = [
  ...istioKinds,
  ...gatewayApiKinds,
  canaryKind,
  meshUpgradeKind,
  checkKind,
  freezeKind,
];

test("the addon's role allows what the reader lists and watches, to get objects with a page, reviews of tokens and of its own rights, and nothing else", async () => {
  const { client } = new SmallCluster();
  const asked = new Set<string>();
  const noting = {
    ...client,
    list: ((kind, options) => {
      asked.add(`list ${kind.plural}.${kind.group}`);
      return client.list(kind, options);
    }) as typeof client.list,
    watch: ((kind, options) => {
      asked.add(`watch ${kind.plural}.${kind.group}`);
      return client.watch(kind, options);
    }) as typeof client.watch,
  };
  const ended = new AbortController();
  const reader = new MeshReader({ client: noting, clock: systemClock, log: silentLogger, onChange: () => undefined });
  const running = reader.run(ended.signal);
  const isWatched = (right: string): boolean => asked.has(right.replace(/^list/, "watch"));
  for (let turn = 0; turn < maxTurns && !(reader.isSynced && [...asked].every(isWatched)); turn += 1)
    await new Promise((resolve) => setImmediate(resolve));
  ended.abort();
  await running;
  const expected = [
    ...asked,
    ...pageKinds
      .map(({ plural, group }) => `get ${plural}.${group}`)
      .filter((right) => isWatched(right.replace(/^get/, "list"))),
    "create selfsubjectaccessreviews.authorization.k8s.io",
    "create tokenreviews.authentication.k8s.io",
  ];
  assert.ok(asked.size > 60, [...asked].join(", "));
  assert.deepEqual(kialiRights(), expected.toSorted());
});
