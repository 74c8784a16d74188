// What the tests of the walkthroughs share: lines typed into a shell of the lab or of a given cluster, in steps that stand on each
// other, and load meanwhile.
import assert from "node:assert/strict";
import { kubectlDirectory, type Kubectl } from "./kubectls.ts";
import { givenFacts, guideCluster, type GivenFacts, type GuideCluster } from "./given-cluster.ts";
import { LabCluster, serin, type LabClusterOptions, type Ran } from "./lab-cluster.ts";

/** Lines that a person types on a cluster. */
export class TypedGuide<Cluster extends GuideCluster> {
  readonly lab: Cluster;
  #failed: string | undefined;

  /** The kubectl that the cluster's shell finds first. */
  constructor(kubectl: Kubectl, make: () => Cluster) {
    const path = process.env["PATH"];
    process.env["PATH"] = `${kubectlDirectory(kubectl)}:${path ?? ""}`;
    this.lab = make();
    process.env["PATH"] = path;
  }

  /** A line that succeeds; `input` is what the person answers to its question. */
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

  /** Whether a line succeeds with such an output, for waiting. */
  async shows(line: string, expected: RegExp | string): Promise<boolean> {
    const { code, output } = await this.lab.shell(line);
    return code === 0 && (typeof expected === "string" ? output.includes(expected) : expected.test(output));
  }

  /** A program of the machine that succeeds, outside of the cluster. */
  async run(...command: readonly string[]): Promise<string> {
    const { code, output } = await this.lab.run([serin, ...command]);
    assert.equal(code, 0, `serin ${command.join(" ")}\n${output}`);
    return output;
  }

  /** The body of a step's test. A step stands on the ones before it: after the first that fails, the others say only so. */
  step(title: string, body: () => Promise<void>): () => Promise<void> {
    return async () => {
      assert.equal(this.#failed, undefined, "an earlier step failed");
      this.#failed = title;
      await body();
      this.#failed = undefined;
    };
  }
}

/** On a lab by this name. */
export class Walkthrough extends TypedGuide<LabCluster> {
  constructor(name: string, kubectl: Kubectl, options: LabClusterOptions = {}) {
    super(kubectl, () => new LabCluster(name, options));
  }
}

/** A seed's guide: on a lab by this name, or on the cluster that SERIN_TEST_KUBECONFIG names. */
export class SeedGuide extends TypedGuide<GuideCluster> {
  readonly given: GivenFacts | undefined;

  constructor(name: string, kubectl: Kubectl) {
    const given = givenFacts();
    super(kubectl, () => guideCluster(name, given));
    this.given = given;
  }

  /** The cluster by kind's YAML or by flags of `serin cluster create`; a given one is there already. */
  async create(config?: string, flags?: readonly string[]): Promise<void> {
    const created = await this.lab.create(config, flags);
    assert.equal(created.code, 0, created.output);
  }
}
