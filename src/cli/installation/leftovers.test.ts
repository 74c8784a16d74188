import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const namespace = "istio-system";

function installed(kind: string, name: string, metadata: Partial<UntypedObject["metadata"]> = {}): UntypedObject {
  return { kind, metadata: { name, namespace, ...metadata } };
}

const earlier: readonly UntypedObject[] = [
  installed("HorizontalPodAutoscaler", "istio-ingressgateway"),
  installed("Deployment", "istio-ingressgateway"),
  installed("Deployment", "istiod"),
  installed("Service", "istiod-revision-tag-default"),
  installed("MutatingWebhookConfiguration", "istio-revision-tag-prod", { labels: { "istio.io/tag": "prod" } }),
  installed("Deployment", "istio-egressgateway", { annotations: { "meta.helm.sh/release-name": "egress" } }),
];

async function serin(line: string, files: Readonly<Record<string, string>> = {}): Promise<FakeContext> {
  const context = new FakeContext({ installed: earlier, files });
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

const selector = (revision: string, owner: string): string =>
  `operator.istio.io/component,istio.io/rev=${revision},install.operator.istio.io/owning-resource=${owner},!install.operator.istio.io/owning-resource-namespace`;

test("an installation names what an earlier one of its revision wrote beyond it, and leaves it", async () => {
  for (const verb of ["install -y", "install --dry-run"]) {
    const { errors, removed } = await serin(`${verb} --set profile=minimal`);
    assert.equal(
      errors,
      '! An earlier installation of revision "default" also wrote Deployment istio-system/istio-ingressgateway, HorizontalPodAutoscaler istio-system/istio-ingressgateway. They are not part of this one, and stay. To remove them, run the same command with --prune\n',
    );
    assert.deepEqual(removed, [{ dryRun: true, selection: { labelSelector: selector("default", "unknown") } }]);
  }
  assert.equal((await serin("install -y --set profile=default")).errors, "");
});

test("--prune removes it, but no revision tag and no object of a helm release", async () => {
  const { output, errors, removed } = await serin("install -y --set profile=minimal --prune");
  assert.deepEqual(
    [errors, output.split("\n").filter((line) => line.startsWith("  Removed"))],
    [
      "",
      [
        "  Removed HorizontalPodAutoscaler istio-system/istio-ingressgateway",
        "  Removed Deployment istio-system/istio-ingressgateway",
      ],
    ],
  );
  assert.deepEqual(removed, [{ labelSelector: selector("default", "unknown") }]);
  const dry = await serin("install --dry-run --set profile=minimal --prune");
  assert.match(dry.output, /^ {2}Would remove Deployment istio-system\/istio-ingressgateway$/m);
  assert.deepEqual(dry.removed, [{ dryRun: true, selection: { labelSelector: selector("default", "unknown") } }]);
});

test("only objects from a file of the same name count, and none if the installation adds to another one", async () => {
  const file = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: { name: mesh }\nspec: {}\n";
  const { removed } = await serin("install -y -f mesh.yaml -r canary", { "mesh.yaml": file });
  assert.deepEqual(removed, [{ dryRun: true, selection: { labelSelector: selector("canary", "mesh") } }]);
  const part = await serin("install -y --set profile=empty --set components.base.enabled=true --prune");
  assert.deepEqual([part.removed, part.errors], [[], ""]);
});
