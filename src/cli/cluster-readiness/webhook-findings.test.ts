import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { webhookFindings } from "./webhook-findings.ts";

const validators = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?labelSelector=app%3Distiod";
const dryRun = "/apis/networking.istio.io/v1/namespaces/istio-system/gateways?dryRun=All";

const validator = (name: string, service: string, requirement: object, failurePolicy = "Fail") => ({
  metadata: { name },
  webhooks: [
    {
      failurePolicy,
      clientConfig: { service: { namespace: "istio-system", name: service } },
      objectSelector: { matchExpressions: [{ key: "istio.io/rev", ...requirement }] },
    },
  ],
});
const named = validator("istio-validator-canary-istio-system", "istiod-canary", { operator: "In", values: ["canary"] });
const unnamed = validator("istiod-default-validator", "istiod", { operator: "DoesNotExist" });

interface Answer {
  readonly status: number;
  readonly message?: string;
}

/** An API server whose answer to the dry run depends on the object's label `istio.io/rev`. Records the requests. */
function server(
  configurations: readonly object[] | number,
  answerTo: (revision: string | undefined) => Answer,
): { readonly client: KubeClient; readonly asked: string[] } {
  const asked: string[] = [];
  const raw: KubeClient["raw"] = async (method, path, { body } = {}) => {
    asked.push(`${method} ${path}`);
    const answer = (status: number, value: unknown) => ({ status, headers: {}, text: JSON.stringify(value) });
    if (path === validators && typeof configurations === "number")
      return await Promise.resolve(answer(configurations, { message: "no" }));
    if (path === validators) return answer(200, { items: configurations });
    const { metadata } = body as { readonly metadata: { readonly labels: Readonly<Record<string, string>> } };
    const { status, message } = answerTo(metadata.labels["istio.io/rev"]);
    return answer(status, message === undefined ? body : { message });
  };
  return { client: { raw } as KubeClient, asked };
}

const denied: Answer = {
  status: 400,
  message:
    'admission webhook "validation.istio.io" denied the request: metadata.annotations.internal.istio.io/webhook-always-reject is reserved for Istio and must not be set',
};
const findings = async (configurations: readonly object[] | number, answer: Answer): Promise<string[]> =>
  (await webhookFindings(server(configurations, () => answer).client, "istio-system")).map(
    ({ level, object, detail }) => `${level} ${object}: ${detail}`,
  );

test("each control plane's validation is asked by a dry run of an object with its revision, and nothing is written", async () => {
  const revisions: (string | undefined)[] = [];
  const other = validator("istio-validator-istio-system", "istiod", { operator: "In", values: ["default"] });
  const { client, asked } = server([named, unnamed, other], (revision) => {
    revisions.push(revision);
    return denied;
  });
  const found = await webhookFindings(client, "istio-system");
  assert.deepEqual(
    found.map(({ level, object, detail }) => `${level} ${object}: ${detail}`),
    [
      "ok ValidatingWebhookConfiguration istio-validator-canary-istio-system: the API server reaches Service istio-system/istiod-canary",
      "ok ValidatingWebhookConfiguration istiod-default-validator: the API server reaches Service istio-system/istiod",
    ],
  );
  assert.deepEqual(revisions, ["canary", undefined]);
  assert.deepEqual(asked, [`GET ${validators}`, `POST ${dryRun}`, `POST ${dryRun}`]);
});

test("a webhook that the API server cannot call is reported with its answer and the port to open", async () => {
  const message =
    'Internal error occurred: failed calling webhook "validation.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/validate?timeout=10s": context deadline exceeded';
  const [found] = await webhookFindings(server([unnamed], () => ({ status: 500, message })).client, "istio-system");
  assert.equal(found?.level, "warning");
  assert.equal(found.detail, `the API server cannot call Service istio-system/istiod: ${message}`);
  assert.match(found.remedy, /TCP port 15017 .* -l kubernetes\.io\/service-name=istiod\./);
});

test("an accepted object shows that the API server skips a webhook that it cannot reach", async () => {
  const open = validator("istiod-default-validator", "istiod", { operator: "DoesNotExist" }, "Ignore");
  assert.deepEqual(await findings([open], { status: 201 }), [
    "warning ValidatingWebhookConfiguration istiod-default-validator: the API server accepts what validation would refuse (failurePolicy Ignore): it does not reach Service istio-system/istiod, or istiod is not ready yet",
  ]);
});

test("any denial by istiod's own webhook shows that the API server reaches it", async () => {
  const message = 'admission webhook "rev.validation.istio.io" denied the request: configuration is invalid';
  assert.deepEqual(await findings([named], { status: 400, message }), [
    "ok ValidatingWebhookConfiguration istio-validator-canary-istio-system: the API server reaches Service istio-system/istiod-canary",
  ]);
});

test("another webhook or policy that denies the dry run is named, and is not taken for a missing right", async () => {
  const gatekeeper =
    'admission webhook "validation.gatekeeper.sh" denied the request: [owner] you must provide labels: {"owner"}';
  const policy =
    "gateways.networking.istio.io \"serin-doctor\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: no owner";
  for (const [denier, message] of [
    ["webhook validation.gatekeeper.sh", gatekeeper],
    ["ValidatingAdmissionPolicy owners", policy],
  ] as const)
    assert.deepEqual(await findings([unnamed], { status: 403, message }), [
      `warning ValidatingWebhookConfiguration istiod-default-validator: cannot be tested, because ${denier} denies the dry run: ${message}`,
    ]);
});

test("the remedy for a missing right names the verb that the dry run needs", async () => {
  const { client } = server([unnamed], () => ({ status: 403, message: "you may not create gateways" }));
  const [found] = await webhookFindings(client, "istio-system");
  assert.match(found?.remedy ?? "", /kubectl auth can-i create gateways\.networking\.istio\.io -n istio-system$/);
});

test("missing definitions, missing rights and foreign webhooks are not taken for an unreachable one", async () => {
  assert.deepEqual(await findings([unnamed], { status: 404, message: "not found" }), [
    "warning CustomResourceDefinition gateways.networking.istio.io: does not exist, although a control plane is installed: istiod reads none of these objects",
  ]);
  assert.deepEqual(await findings([unnamed], { status: 403, message: "you may not create gateways" }), [
    "warning Cluster: cannot be checked: you may not create gateways",
  ]);
  assert.deepEqual(
    await findings([unnamed], { status: 400, message: 'admission webhook "a.b" does not support dry run' }),
    [
      "ok ValidatingWebhookConfiguration istiod-default-validator: cannot be tested: another webhook does not support dry runs",
    ],
  );
  assert.deepEqual(await findings(403, denied), ["warning Cluster: cannot be checked: no"]);
  assert.deepEqual(await findings([], denied), []);
});
