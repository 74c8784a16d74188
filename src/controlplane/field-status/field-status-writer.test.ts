import assert from "node:assert/strict";
import { test } from "node:test";
import { destinationRuleKind } from "../../api/istio/index.ts";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { createInformer } from "../../kube/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { config } from "../testing/model-fixture.ts";
import { fieldCondition, runFieldStatusWriter } from "./field-status-writer.ts";

interface Condition {
  readonly type: string;
  readonly message?: string;
}

test("an object's status lists its fields without effect, as long as it has them; foreign conditions stay", async () => {
  const client = new FakeKubeClient();
  const log = createLogger({ scope: "test", write: () => undefined });
  const stop = new AbortController();
  const objects = createInformer(client, destinationRuleKind, { log, clock: systemClock });
  const rule = (trafficPolicy: object): void => {
    client.put(destinationRuleKind, {
      ...config("DestinationRule", "shop/web", { host: "web", trafficPolicy }),
      status: { conditions: [{ type: "Other", status: "True" }] },
    } as Parameters<typeof client.put>[1]);
  };
  const conditions = async (): Promise<readonly Condition[]> =>
    ((await client.get(destinationRuleKind, "web", "shop")) as unknown as { status: { conditions: Condition[] } })
      .status.conditions;
  const countedConditions = async (count: number): Promise<readonly Condition[]> =>
    await until(async () => {
      const found = await conditions();
      return found.length === count ? found : undefined;
    });
  rule({
    outlierDetection: { consecutiveErrors: 5 },
    loadBalancer: { simple: "ROUND_ROBIN", zones: { even: true } },
  });
  const work = Promise.all([
    objects.run(stop.signal),
    runFieldStatusWriter(
      { client, objectsOf: (kind) => (kind.kind === "DestinationRule" ? objects : undefined), clock: systemClock, log },
      stop.signal,
    ),
  ]);
  const [other, own] = await countedConditions(2);
  assert.equal(other?.type, "Other");
  assert.equal(own?.type, fieldCondition);
  assert.match(
    own?.message ?? "",
    /spec\.trafficPolicy\.loadBalancer\.zones: is not known and has no effect.*; spec\.trafficPolicy\.outlierDetection\.consecutiveErrors: is deprecated and has no effect/,
  );
  const before = await client.get(destinationRuleKind, "web", "shop");
  client.put(destinationRuleKind, {
    ...before,
    spec: { host: "web", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } },
  } as unknown as Parameters<typeof client.put>[1]);
  assert.deepEqual(
    (await countedConditions(1)).map(({ type }) => type),
    ["Other"],
  );
  stop.abort();
  await work;
});
