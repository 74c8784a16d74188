// What the tests of walkthroughs share: lines that are typed into a shell of the lab or of a given cluster, in steps
// that depend on each other, under load.
import assert from "node:assert/strict";
import { addDetail } from "./add-detail.ts";
import { eventually } from "./eventually.ts";
import { requireLeastRights, type ExpectedRights, type RbacObjects } from "./audited-rights.ts";
import { withKubectl, type Kubectl } from "./kubectls.ts";
import { givenFacts, guideCluster, type GivenFacts, type GuideCluster } from "./given-cluster.ts";
import { LabCluster, serin, type LabClusterOptions, type Ran } from "./lab-cluster.ts";

const describedBytes = 20_000;
const describeCluster = `kubectl get pods -A -o wide
kubectl get canaries,meshupgrades -A
kubectl get events -A --sort-by=.lastTimestamp --no-headers | tail -n 30
kubectl get pods -A --no-headers | awk '{split($3, ready, "/"); if (ready[1] != ready[2]) print $1, $2}' | head -n 5 |
while read -r namespace pod; do
  echo "== log of $namespace/$pod"
  kubectl logs -n "$namespace" "$pod" --all-containers --tail=15
done
for app in istiod istio-ingressgateway; do
  echo "== log of $app"
  kubectl logs -n istio-system -l app="$app" --tail=15
done`;

/** Lines that a person types on a cluster. */
export class TypedGuide<Cluster extends GuideCluster> {
  readonly lab: Cluster;
  #failed: string | undefined;

  /** `kubectl` is the one that the cluster's shell finds first. */
  constructor(kubectl: Kubectl, make: () => Cluster) {
    this.lab = withKubectl(kubectl, make);
  }

  /** Runs a line that must succeed. `input` answers its question. */
  async ok(line: string, input?: string): Promise<string> {
    const { code, output } = await this.lab.shell(line, input === undefined ? {} : { input });
    assert.equal(code, 0, `${line}\n${output}`);
    return output;
  }

  async fails(line: string, expected: RegExp): Promise<Ran> {
    const ran = await this.lab.shell(line);
    assert.notEqual(ran.code, 0, `${line} should fail\n${ran.output}`);
    assert.match(ran.output, expected);
    return ran;
  }

  /** Whether a line succeeds with this output. For polling. */
  async shows(line: string, expected: RegExp | string): Promise<boolean> {
    const { code, output } = await this.lab.shell(line);
    return code === 0 && (typeof expected === "string" ? output.includes(expected) : expected.test(output));
  }

  /** Waits until a line succeeds with this output. At the time limit, the error has the line's last output. */
  async comes(condition: string, line: string, expected: RegExp): Promise<void> {
    let last = "";
    const look = async (): Promise<boolean> => {
      const { code, output } = await this.lab.shell(line);
      last = `ended with ${code}: ${output}`;
      return code === 0 && expected.test(output);
    };
    await eventually(condition, look).catch((error: unknown) => {
      addDetail(error, `${line}\n${last}`);
      throw error;
    });
  }

  /**
   * See {@link requireLeastRights}. Does nothing for a given cluster and for a lab with Kubernetes' own API server,
   * which SERIN_LAB_RELEASE names: the test could not read an audit log there.
   */
  async requireLeastRights(expected: ExpectedRights): Promise<void> {
    if (!(this.lab instanceof LabCluster) || process.env["SERIN_LAB_RELEASE"] !== undefined) return;
    const output = await this.ok("kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json");
    requireLeastRights(this.lab.stateDirectory, JSON.parse(output) as RbacObjects, expected);
  }

  /** Runs `serin` on the machine, outside the cluster. It must succeed. */
  async run(...command: readonly string[]): Promise<string> {
    const { code, output } = await this.lab.run([serin, ...command]);
    assert.equal(code, 0, `serin ${command.join(" ")}\n${output}`);
    return output;
  }

  /** The body of a step's test. Each step needs those before it, so after a failed step the others fail at once. */
  step(title: string, body: () => Promise<void>): () => Promise<void> {
    return async () => {
      assert.equal(this.#failed, undefined, "an earlier step failed");
      this.#failed = title;
      try {
        await body();
      } catch (error) {
        addDetail(error, await this.#clusterNow());
        throw error;
      }
      this.#failed = undefined;
    };
  }

  /** The pods, the newest events, and the logs of pods that are not ready, for the error of a failed step. */
  async #clusterNow(): Promise<string> {
    const { output } = await this.lab.shell(describeCluster, { timeoutMs: 20_000 }).catch((error: unknown) => ({
      output: `the cluster cannot be described: ${String(error)}`,
    }));
    return output.slice(0, describedBytes);
  }
}

/** Types on a lab with this name. */
export class Walkthrough extends TypedGuide<LabCluster> {
  constructor(name: string, kubectl: Kubectl, options: LabClusterOptions = {}) {
    super(kubectl, () => new LabCluster(name, options));
  }
}

/** Types a seed's guide on a lab with this name, or on the cluster that SERIN_TEST_KUBECONFIG names. */
export class SeedGuide extends TypedGuide<GuideCluster> {
  readonly given: GivenFacts | undefined;

  constructor(name: string, kubectl: Kubectl) {
    const given = givenFacts();
    super(kubectl, () => guideCluster(name, given));
    this.given = given;
  }

  /**
   * Creates the cluster from kind's YAML, or with flags of `serin cluster create`. Does nothing for a given cluster.
   */
  async create(config?: string, flags?: readonly string[]): Promise<void> {
    const created = await this.lab.create(config, flags);
    assert.equal(created.code, 0, created.output);
  }
}
