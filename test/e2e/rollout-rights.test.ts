// A developer who may only write Canaries, a webhook that was down, and rights that are granted later, in one lab.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { untilLine } from "../support/until-line.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const guide = new Walkthrough("rollout-rights", kubectl);
const ok = async (line: string): Promise<string> => await guide.ok(line);
const samples = join(root, "samples/canary");
const patientMs = 240_000;

before(async () => {
  const created = await guide.lab.createOneNode();
  assert.equal(created.code, 0, created.output);
  await ok("istioctl install -y --set profile=minimal");
});

after(async () => {
  await guide.lab.delete();
});

const canary = (name = "nginx"): string =>
  `printf '%s' '${JSON.stringify({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name, namespace: "rights" },
    spec: {
      target: {
        services: { service: "nginx", stable: "nginx-stable", canary: "nginx-next", port: 80, routes: "HTTPRoute" },
      },
      steps: [{ weight: 20 }, { weight: 100 }],
    },
  })}'`;
const authorHook = "mutatingwebhookconfiguration serin-rollout-author";
const recordsAuthors = async (): Promise<boolean> =>
  (await ok(`${canary("probe")} | kubectl apply --dry-run=server -f - -o jsonpath='{.metadata.annotations}'`)).includes(
    "rollout.serin.dev/author",
  );
/** Makes the webhook that records authors see this kind only. */
const askAuthors = async (kind: string): Promise<string> =>
  await ok(
    `kubectl patch ${authorHook} --type=json -p '[{"op":"replace","path":"/webhooks/0/rules/0/resources/0","value":"${kind}"}]'`,
  );
const untilMessage = async (expected: RegExp): Promise<string> => {
  const line = 'jsonpath={.status.phase}: {.status.message}{"\\n"}';
  return await untilLine(
    guide.lab,
    {
      condition: `canary rights/nginx says ${String(expected)}`,
      command: ["kubectl", "get", "canary", "-n", "rights", "nginx", "-o", line],
      timeoutMs: patientMs,
    },
    (text) => expected.test(text),
  ).catch(async (error: unknown) => {
    throw new Error(`${String(error)}\n${await ok("kubectl get canary -n rights nginx -o yaml")}`);
  });
};

test("a Canary does only what its author may do: it waits for an author, names the missing rights, and continues with them", async () => {
  await ok("kubectl create namespace rights && kubectl label namespace rights istio-injection=enabled");
  await ok(
    `kubectl apply -n rights ${["nginx-service", "nginx-v1", "nginx-v2"].map((name) => `-f ${join(samples, name)}.yaml`).join(" ")}`,
  );
  for (const [name, version] of [
    ["stable", "v1"],
    ["next", "v2"],
  ])
    await ok(
      `kubectl create service clusterip -n rights nginx-${name} --tcp=80:80 && kubectl set selector -n rights service/nginx-${name} app=nginx,version=${version}`,
    );
  await ok(
    "kubectl create role canaries -n rights --verb='*' --resource=canaries.rollout.serin.dev && kubectl create rolebinding canaries -n rights --role=canaries --user=dev",
  );
  await guide.fails(
    `${canary()} | kubectl --as=dev apply -f -`,
    /Canary "nginx": .*dev may not: create httproutes\.gateway\.networking\.k8s\.io in namespace rights/,
  );
  await eventually("authors are recorded", recordsAuthors, patientMs);
  await askAuthors("nothing");
  await eventually("authors are not recorded", async () => !(await recordsAuthors()), patientMs);
  await ok(`${canary()} | kubectl apply -f -`);
  const message = await untilMessage(/^Stuck: it has no recorded author/);
  const [, takeover = ""] = /`kubectl (.*?)`/.exec(message) ?? [];
  await askAuthors("canaries");
  await eventually("authors are recorded again", recordsAuthors, patientMs);
  assert.match(
    await ok("kubectl --as=dev annotate canary -n rights nginx rollout.serin.dev/author=admin --overwrite 2>&1"),
    /the author of another object or spec counts for nothing/,
  );
  await ok(`kubectl --as=dev ${takeover}`);
  await untilMessage(
    /^Stuck: its author dev may not: create httproutes\.gateway\.networking\.k8s\.io in namespace rights/,
  );
  await ok(
    "kubectl create role routes -n rights --verb='*' --resource=httproutes.gateway.networking.k8s.io && kubectl create rolebinding routes -n rights --role=routes --user=dev",
  );
  await untilMessage(/^Stuck: its author dev may not: get services rights\/nginx/);
  await ok(
    "kubectl create role services -n rights --verb=get --resource=services && kubectl create rolebinding services -n rights --role=services --user=dev",
  );
  // The engine moves traffic by the route that it has created. Nobody sends requests, so the judge waits for samples.
  await untilMessage(/^Judging: weight 80\/20: /);
  await ok("kubectl get httproute -n rights nginx-canary");
});

const author = async (): Promise<{ readonly user: string; readonly groups: readonly string[] }> =>
  JSON.parse(
    await ok(`kubectl get canary -n rights nginx -o jsonpath='{.metadata.annotations.rollout\\.serin\\.dev/author}'`),
  ) as { user: string; groups: string[] };
const loginOf = async (name: string): Promise<string> => {
  const file = `${name}.kubeconfig`;
  await ok(
    `kubectl config view --minify --flatten --raw > ${file} && kubectl --kubeconfig=${file} config unset users && kubectl --kubeconfig=${file} config set-credentials ${name} --token="$(kubectl create token -n gitops ${name})" && kubectl --kubeconfig=${file} config set-context --current --user=${name}`,
  );
  return `kubectl --kubeconfig=${file}`;
};
/** Applies a manifest that was refused before. The engine remembers a refusal for 10 s. */
const applies = async (line: string): Promise<void> => {
  await eventually("the granted rights count", async () => await guide.shows(line, "serverside-applied"), patientMs);
};
const bind = async (role: string, name: string, subject: string): Promise<string> =>
  await ok(`kubectl create rolebinding ${name} -n rights --role=${role} ${subject}`);

test("a Canary that a GitOps controller applies does what the controller's account may do, or the account that it impersonates", async () => {
  await ok("kubectl delete canary -n rights nginx --timeout=200s");
  await ok("kubectl create namespace gitops && kubectl create serviceaccount -n gitops argo");
  await ok("kubectl create serviceaccount -n gitops flux && kubectl create serviceaccount -n rights reconciler");
  await bind("canaries", "sync", "--group=system:serviceaccounts:gitops");
  const argo = `${canary()} | ${await loginOf("argo")} apply --server-side --field-manager=argocd-controller -f -`;
  await guide.fails(
    argo,
    /system:serviceaccount:gitops:argo may not: create httproutes\.gateway\.networking\.k8s\.io in namespace rights; get services rights\/nginx/,
  );
  for (const role of ["routes", "services"]) await bind(role, `sync-${role}`, "--group=system:serviceaccounts:gitops");
  await applies(argo);
  await untilMessage(/^Judging: weight 80\/20: /);
  const byArgo = await author();
  assert.equal(byArgo.user, "system:serviceaccount:gitops:argo");
  assert.deepEqual(byArgo.groups.toSorted(), [
    "system:authenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:gitops",
  ]);
  // The next sync changes nothing, whoever sends it, so the author stays.
  const flux = await loginOf("flux");
  const sync = (as: string): string =>
    `${canary()} | ${flux} ${as} apply --server-side --force-conflicts --field-manager=kustomize-controller -f -`;
  await ok(sync(""));
  assert.deepEqual(await author(), byArgo);
  // Flux does this for `spec.serviceAccountName`: its controller has more rights than the tenant's account.
  const reconciler = "--as=system:serviceaccount:rights:reconciler";
  await ok("kubectl delete canary -n rights nginx --timeout=200s");
  await guide.fails(`${flux} ${reconciler} get --raw /version`, /cannot impersonate resource "serviceaccounts"/);
  await ok(
    "kubectl create role reconciler -n rights --verb=impersonate --resource=serviceaccounts --resource-name=reconciler",
  );
  await bind("reconciler", "reconciler", "--serviceaccount=gitops:flux");
  await bind("canaries", "tenant", "--serviceaccount=rights:reconciler");
  await guide.fails(
    sync(reconciler),
    /system:serviceaccount:rights:reconciler may not: create httproutes\.gateway\.networking\.k8s\.io in namespace rights/,
  );
  for (const role of ["routes", "services"]) await bind(role, `tenant-${role}`, "--serviceaccount=rights:reconciler");
  await applies(sync(reconciler));
  assert.equal((await author()).user, "system:serviceaccount:rights:reconciler");
  await untilMessage(/^Judging: weight 80\/20: /);
});

test("no component requests what its roles refuse, and the roles allow nothing unused", async () => {
  const accounts = ["istio-system:istiod", "serin-system:serin-rollout"];
  await guide.requireLeastRights({ accounts, compared: accounts });
});
