import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { WriteOptions } from "../../kube/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { validate } from "./admission.ts";
import { validationDoubt } from "./validation-proof.ts";

/** An API server that calls validation in a dry run, or answers with an error. */
class AskingClient extends FakeKubeClient {
  answer: (object: KubernetesObject) => void = () => undefined;

  override async create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value> {
    assert.equal(options?.dryRun, true);
    this.answer(object);
    return await super.create(kind, object);
  }
}

test("only the webhook's own refusal of an always invalid object proves that validation works", async () => {
  const client = new AskingClient();
  const doubt = async (answer: AskingClient["answer"]): Promise<string | undefined> => {
    client.answer = answer;
    return await validationDoubt(client, "istio-system", "canary");
  };
  const refuse = (object: KubernetesObject): void => {
    assert.equal(object.metadata.labels?.["istio.io/rev"], "canary");
    const answer = validate({
      request: {
        uid: "1",
        operation: "CREATE",
        kind: { group: "networking.istio.io", version: "v1", kind: "Gateway" },
        object,
      },
    });
    if (answer.response?.allowed !== false) return;
    throw userError(
      "forbidden",
      `admission webhook "rev.validation.istio.io" denied the request: ${answer.response.status?.message ?? ""}`,
    );
  };
  assert.equal(await doubt(refuse), undefined);
  assert.match((await doubt(() => undefined)) ?? "", /was accepted/);
  const failing = (code: "forbidden" | "not-found", message: string) => () => {
    throw userError(code, message);
  };
  assert.match((await doubt(failing("forbidden", "gateways is forbidden"))) ?? "", /is forbidden/);
  assert.match(
    (await doubt(failing("forbidden", 'admission webhook "others" denied the request: no owner'))) ?? "",
    /no owner/,
  );
  assert.equal(await doubt(failing("not-found", "the server could not find the requested resource")), undefined);
});
