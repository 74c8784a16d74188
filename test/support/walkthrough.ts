// What the tests of the walkthroughs share: lines typed into a lab's shell, in steps that stand on each other, and load meanwhile.
import assert from "node:assert/strict";
import { kubectlDirectory, type Kubectl } from "./kubectls.ts";
import { LabCluster, serin, type LabClusterOptions, type Ran } from "./lab-cluster.ts";
import { join } from "node:path";

export class Walkthrough {
  readonly lab: LabCluster;
  #failed: string | undefined;

  /** A cluster's name and the kubectl that its shell finds first. */
  constructor(name: string, kubectl: Kubectl, options: LabClusterOptions = {}) {
    const path = process.env["PATH"];
    process.env["PATH"] = `${kubectlDirectory(kubectl)}:${path ?? ""}`;
    this.lab = new LabCluster(name, options);
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

  /** A program of the machine that succeeds, outside of the lab. */
  async run(...command: readonly string[]): Promise<string> {
    const { code, output } = await this.lab.run([serin, ...command]);
    assert.equal(code, 0, `serin ${command.join(" ")}\n${output}`);
    return output;
  }

  /** This tree as another version's release, known to the lab. */
  async addRelease(version: string): Promise<void> {
    const directory = join(this.lab.directory, "..", `release-${version}`);
    await this.run("release", "build", directory, "--version", version);
    await this.run("release", "add", directory, "--name", this.lab.name);
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
