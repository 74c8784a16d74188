import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLocalConfig } from "../state/local-config.ts";
import { noChange } from "../state/mesh-change.ts";
import { MeshState } from "../state/mesh-state.ts";
import { authorize, deniedConnections, stillAllowed, type ConnectionFacts } from "./authorize.ts";

const facts: ConnectionFacts = {
  sourceAddress: "10.0.0.7",
  destinationAddress: "10.0.1.1",
  destinationPort: 80,
  sourceIdentity: "spiffe://cluster.local/ns/default/sa/sleep",
};

/** The verdict of the policies on a connection to the workload `w` in `default`. */
function decide(policies: string, changes: Partial<ConnectionFacts> = {}): string {
  const state = new MeshState();
  const selected = policies.includes("name: selected") ? "default/selected" : "";
  parseLocalConfig(
    `workloads: [{name: w, uid: w, namespace: default, workloadIps: [10.0.1.1], authorizationPolicies: [${selected}]}]\npolicies:\n${policies}`,
    state,
  );
  const verdict = authorize(state, state.workloadByUid("w") ?? assert.fail(), { ...facts, ...changes });
  return verdict.allowed ? "allowed" : verdict.reason;
}

const policy = (name: string, action: string, rules: string, more = "") =>
  `- {name: ${name}, namespace: default, scope: Namespace, action: ${action}, rules: ${rules}${more}}\n`;

test("without a policy everything is allowed, a non-matching ALLOW denies, and a matching DENY wins", () => {
  assert.equal(decide(""), "allowed");
  const sleep = policy("a", "Allow", "[[[{principals: [{Exact: cluster.local/ns/default/sa/sleep}]}]]]");
  assert.equal(decide(sleep), "allowed");
  assert.equal(decide(sleep, { sourceIdentity: undefined }), "allow policies exist, but none allowed");
  assert.equal(
    decide(sleep + policy("d", "Deny", "[[[{destinationPorts: [80]}]]]")),
    "explicitly denied by: default/d",
  );
  assert.equal(decide(policy("empty", "Allow", "[]")), "allow policies exist, but none allowed");
});

test("groups are OR-ed, clauses AND-ed and matches OR-ed; within a match, fields are AND-ed and values OR-ed, and negations exclude", () => {
  const rules =
    "[[[{namespaces: [{Exact: other}]}, {namespaces: [{Exact: default}]}], [{destinationPorts: [81, 80]}]], [[{sourceIps: [192.168.0.0/16]}]]]";
  const allow = policy("a", "Allow", rules);
  assert.equal(decide(allow), "allowed");
  assert.notEqual(decide(allow, { destinationPort: 82 }), "allowed");
  assert.equal(decide(allow, { destinationPort: 82, sourceAddress: "192.168.3.4" }), "allowed");
  const both = policy("a", "Allow", "[[[{namespaces: [{Exact: default}], notSourceIps: [10.0.0.4/30]}]]]");
  assert.notEqual(decide(both), "allowed");
  assert.equal(decide(both, { sourceAddress: "10.0.0.8" }), "allowed");
});

test("principals match without spiffe://, by exact, prefix, suffix and presence", () => {
  const by = (match: string) => decide(policy("a", "Allow", `[[[{principals: [{${match}}]}]]]`));
  assert.equal(by("Prefix: cluster.local/ns/"), "allowed");
  assert.equal(by("Suffix: /sa/sleep"), "allowed");
  assert.equal(by("Presence: null"), "allowed");
  assert.notEqual(by("Prefix: 'spiffe://'"), "allowed");
  const account = policy("a", "Allow", "[[[{serviceAccounts: [{namespace: default, serviceAccount: sleep}]}]]]");
  assert.equal(decide(account), "allowed");
  assert.notEqual(decide(account, { sourceIdentity: "spiffe://cluster.local/ns/other/sa/sleep" }), "allowed");
});

test("istiod's STRICT, dry-run, global and selected policies are evaluated, and so are other address families", () => {
  const strict =
    "- {name: selected, namespace: default, scope: WorkloadSelector, action: Deny, rules: [[[{notPrincipals: [{Presence: null}]}]]]}\n";
  assert.equal(decide(strict), "allowed");
  assert.equal(decide(strict, { sourceIdentity: undefined }), "explicitly denied by: default/selected");
  assert.equal(decide(policy("dry", "Deny", "[[[{destinationPorts: [80]}]]]", ", dryRun: true")), "allowed");
  assert.equal(
    decide("- {name: g, namespace: istio-system, scope: Global, action: Deny, rules: [[[{destinationPorts: [80]}]]]}"),
    "explicitly denied by: istio-system/g",
  );
  assert.equal(
    decide("- {name: n, namespace: elsewhere, scope: Namespace, action: Deny, rules: [[[{destinationPorts: [80]}]]]}"),
    "allowed",
  );
  assert.equal(decide(policy("six", "Deny", "[[[{sourceIps: ['fd00::/8']}]]]")), "allowed");
  assert.notEqual(
    decide(policy("six", "Deny", "[[[{sourceIps: ['fd00::/8']}]]]"), { sourceAddress: "fd00::7" }),
    "allowed",
  );
  assert.equal(decide(policy("nothing", "Deny", "[[[{}]]]")), "allowed");
  assert.equal(decide(policy("all", "Deny", "[[]]")), "explicitly denied by: default/all");
});

test("nothing is allowed before a workload's policies arrive, and open connections stay open meanwhile", () => {
  const state = new MeshState();
  const workload =
    "workloads: [{name: w, uid: w, namespace: default, workloadIps: [10.0.1.1], authorizationPolicies: [default/selected]}]";
  parseLocalConfig(workload, state);
  const decideNow = (): ReturnType<typeof authorize> =>
    authorize(state, state.workloadByUid("w") ?? assert.fail(), facts);
  assert.deepEqual(decideNow(), {
    allowed: false,
    reason: "the policy default/selected has not arrived yet",
    pending: true,
  });
  assert.ok(stillAllowed(decideNow()));
  parseLocalConfig(
    `${workload}\npolicies: [{name: selected, namespace: default, scope: WorkloadSelector, action: Deny, rules: [[[{notPrincipals: [{Presence: null}]}]]]}]`,
    state,
  );
  assert.deepEqual(decideNow(), { allowed: true });
  assert.equal(authorize(new MeshState(), state.workloadByUid("w") ?? assert.fail(), facts).allowed, false);
});

test("an update ends denied connections, and evaluates only those to workloads whose policies it may have changed", () => {
  const state = new MeshState();
  const workloadOf = (name: string, namespace: string, policies = "") =>
    `{name: ${name}, uid: ${name}, namespace: ${namespace}, workloadIps: [], authorizationPolicies: [${policies}]}`;
  const all = [workloadOf("a", "one", "one/selects"), workloadOf("b", "one"), workloadOf("c", "two")];
  const deny = (name: string, namespace: string, scope: string, port: number) =>
    `{name: ${name}, namespace: ${namespace}, scope: ${scope}, action: Deny, rules: [[[{destinationPorts: [${port}]}]]]}`;
  const unrelated = deny("selects", "one", "WorkloadSelector", 1);
  parseLocalConfig(`workloads: [${all.join(", ")}]\npolicies: [${unrelated}]`, state);
  state.allPoliciesPut();
  const pods = ["a", "b", "c"].map((name) => ({
    uid: name,
    info: { name, namespace: name === "c" ? "two" : "one", serviceAccount: "default" },
  }));
  let evaluated = "";
  const live = pods.map((pod) => ({
    details: {
      pod,
      stillAllowed: () => {
        evaluated += pod.uid;
        return stillAllowed(authorize(state, state.workloadByUid(pod.uid) ?? assert.fail(), facts));
      },
    },
  }));
  let denied = "";
  state.onPolicyChange((reach) => {
    denied = deniedConnections(state, reach, pods, () => live)
      .map(({ details }) => details.pod.uid)
      .join("");
  });
  const update = (workloads: string, policies: string, removedPolicies: readonly string[] = []) => {
    const changed = new MeshState();
    parseLocalConfig(`workloads: [${workloads}]\npolicies: [${policies}]`, changed);
    evaluated = denied = "";
    state.apply({ ...noChange, workloads: changed.workloads(), policies: changed.policies(), removedPolicies });
    return `${evaluated} ${denied}`;
  };
  assert.equal(update("", deny("other", "three", "Namespace", 80)), " ");
  assert.equal(update(workloadOf("b", "one"), ""), " ");
  assert.equal(update("", deny("selects", "one", "WorkloadSelector", 80)), "a a");
  assert.equal(update("", unrelated), "a ");
  assert.equal(update("", deny("whole", "one", "Namespace", 80)), "ab ab");
  assert.equal(update("", deny("whole", "one", "Global", 80)), "abc abc");
  assert.equal(update("", deny("whole", "one", "Namespace", 1)), "abc ");
  assert.equal(update("", "", ["one/whole"]), "ab ");
  assert.equal(update(workloadOf("c", "two", "four/late"), deny("late", "four", "WorkloadSelector", 80)), "c c");
  assert.equal(update("", "", ["four/late"]), "c ");
});
