// Upgrades one mesh of the matrix in a lab under load. The first upgrade is rolled back after half of its steps. The
// second one runs to its end, and is undone afterwards if the mesh asks for that.
import assert from "node:assert/strict";
import { eventually } from "../../../test/support/eventually.ts";
import type { Kubectl } from "../../../test/support/kubectls.ts";
import { PodLoad } from "../../../test/support/pod-load.ts";
import { untilLine } from "../../../test/support/until-line.ts";
import { Walkthrough } from "../../../test/support/walkthrough.ts";
import { applications, namespaceObject, newRevision, shop, upgradeObject, type LabMesh } from "./lab-mesh.ts";

export interface PlayedMesh {
  readonly name: string;
  readonly title: string;
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly steps: number;
  /** Why the upgrade failed. Absent if it succeeded. */
  readonly problem?: string;
}

const upgradeTimeoutMs = 900_000;
const ends = ["Completed", "RolledBack", "Stuck", "Paused"];

interface PlanOutput {
  readonly steps: readonly { readonly id: string }[];
  readonly findings: readonly { readonly message: string; readonly hint?: string }[];
}

interface PodList {
  readonly items: readonly {
    readonly metadata: {
      readonly namespace: string;
      readonly deletionTimestamp?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    readonly spec: {
      readonly containers: readonly { readonly name: string }[];
      readonly initContainers?: readonly { readonly name: string }[];
    };
  }[];
}

export class MeshPlay {
  readonly #mesh: LabMesh;
  readonly #guide: Walkthrough;
  readonly #note: (text: string) => void;
  #load: PodLoad | undefined;
  #steps = 0;

  constructor(mesh: LabMesh, kubectl: Kubectl, note: (text: string) => void) {
    this.#mesh = mesh;
    this.#guide = new Walkthrough(`matrix-${mesh.name}`, kubectl);
    this.#note = (text) => note(`${mesh.name}: ${text}`);
  }

  /** Upgrades half of the way and back, then to the end. Removes the lab. */
  async play(): Promise<PlayedMesh> {
    const begunMs = performance.now();
    let problem: string | undefined;
    try {
      await this.#begin();
      await this.#backFromTheMiddle();
      const pods = await this.#revisions();
      await this.#toTheEnd();
      if (this.#mesh.undoneAtTheEnd === true) await this.#backFromTheEnd(pods);
      await this.#moreRequests();
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    await this.#load?.stop();
    await this.#guide.lab.delete();
    const { name, title } = this.#mesh;
    for (const failure of this.#load?.failures ?? []) this.#note(`FAILED ${failure}`);
    return {
      name,
      title,
      requests: this.#load?.requests ?? 0,
      failed: this.#load?.failures.length ?? 0,
      seconds: Math.round((performance.now() - begunMs) / 100) / 10,
      steps: this.#steps,
      ...(problem === undefined ? {} : { problem }),
    };
  }

  async #ok(line: string, input?: string): Promise<string> {
    return await this.#guide.ok(line, input);
  }

  async #begin(): Promise<void> {
    const { lab } = this.#guide;
    const created = await lab.create(
      `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: ${lab.name}\nnodes: [{role: control-plane}, {role: worker}]\n`,
    );
    assert.equal(created.code, 0, created.output);
    await this.#apply([namespaceObject(shop, this.#mesh.labels), namespaceObject("outside")]);
    await this.#mesh.install(this.#guide);
    await this.#apply(applications(this.#mesh));
    for (const namespace of [shop, "outside"])
      await this.#ok(`kubectl wait -n ${namespace} --for=condition=Ready pods --all --timeout=110s`);
    const { url } = this.#mesh.gateway;
    await eventually(
      `${url} answers`,
      async () => await this.#guide.shows(`kubectl exec -n outside client -- curl -sf -m 2 ${url}`, /Hostname|GET/i),
      60_000,
    );
    const place = { namespace: "outside", workload: "pod/client", container: "client" };
    const also = this.#mesh.alsoAsked === undefined ? [] : [`${url}${this.#mesh.alsoAsked.path}`];
    this.#load = new PodLoad(lab, { ...place, urls: [url, `http://web.${shop}`, ...also] });
    await this.#moreRequests();
    await this.#mesh.bring?.(this.#guide);
    this.#note("installed, and the load has begun");
  }

  async #apply(objects: readonly object[]): Promise<void> {
    const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    await this.#ok("kubectl apply -f -", list);
  }

  /** Waits until more requests have been answered, and checks that none has failed. */
  async #moreRequests(): Promise<void> {
    await this.#load?.more(40);
    assert.deepEqual(this.#load?.failures, [], `of ${this.#load?.requests ?? 0} requests`);
  }

  async #backFromTheMiddle(): Promise<void> {
    const upgrade = JSON.stringify(upgradeObject(this.#mesh, "half"));
    const { lab } = this.#guide;
    const planned = await lab.run([lab.serin, "upgrade", "plan", "-f", "-", "--json"], { input: upgrade });
    const { steps, findings } = JSON.parse(planned.output.slice(planned.output.indexOf("{"))) as PlanOutput;
    const left = findings.filter(({ message }) => message.startsWith("no step moves"));
    assert.equal(left.length > 0, this.#mesh.movedByHand === true, JSON.stringify(left));
    const [before, pods] = [await this.#namespaces(), await this.#revisions()];
    await this.#ok("kubectl apply -f -", upgrade);
    const middle = Math.ceil(steps.length / 2);
    await this.#until("half", `${middle} of ${steps.length} steps are done`, (phase, done) => {
      assert.ok(!ends.includes(phase), phase);
      return done >= middle;
    });
    this.#note(`${middle} of ${steps.length} steps are done`);
    await this.#ok(`kubectl patch meshupgrade half --type merge -p '{"spec":{"abort":true}}'`);
    await this.#until("half", "the upgrade is taken back", (phase) => this.#ended(phase, "RolledBack"));
    assert.equal(await this.#namespaces(), before);
    await eventually("the pods are of the old revision", async () => (await this.#revisions()) === pods, 120_000);
    await this.#ok("kubectl wait --for=delete namespace/serin-probes --timeout=110s");
    await this.#moreRequests();
    this.#note("taken back");
    await this.#ok("kubectl delete meshupgrade half --timeout=60s");
  }

  async #toTheEnd(): Promise<void> {
    await this.#ok("kubectl apply -f -", JSON.stringify(upgradeObject(this.#mesh, "whole")));
    let lastMessage = "";
    await this.#until("whole", "the upgrade has ended, or waits for a person", (phase, done, message) => {
      this.#steps = done;
      lastMessage = message;
      if (this.#mesh.movedByHand === true && /still depend/.test(message)) return true;
      return this.#ended(phase, "Completed");
    });
    if (this.#mesh.movedByHand === true) await this.#moveByHand(lastMessage);
    const left = await this.#ok("kubectl get deployments,daemonsets -n istio-system -o name");
    const { from, istiod } = this.#mesh;
    const names = ["istiod", "ztunnel"].map((name) => (from === undefined ? name : `${name}-${from}`));
    const old = new Set([...names, ...(istiod === undefined ? [] : [istiod])]);
    const rest = left.split("\n").filter((line) => old.has(line.slice(line.indexOf("/") + 1)));
    assert.deepEqual(rest, [], "of the old revision");
    assert.deepEqual(new Set((await this.#revisions()).split(" ")), new Set([this.#mesh.to ?? newRevision]));
    await this.#mesh.forget?.(this.#guide);
    await this.#moreRequests();
    this.#note(`moved to the end in ${this.#steps} steps`);
  }

  /** Undoes the completed upgrade. Afterwards, the pods must have their former revisions again. */
  async #backFromTheEnd(pods: string): Promise<void> {
    await this.#ok(`kubectl patch meshupgrade whole --type merge -p '{"spec":{"abort":true}}'`);
    await this.#until("whole", "the completed upgrade is taken back", (phase) => phase === "RolledBack");
    await this.#mesh.moveBack?.(this.#guide);
    await eventually("the pods are of the old revision", async () => (await this.#revisions()) === pods, 120_000);
    const { from, istiod = from === undefined ? "istiod" : `istiod-${from}` } = this.#mesh;
    await this.#ok(`kubectl rollout status -n istio-system deployment/${istiod} --timeout=60s`);
    this.#note("taken back after the end");
  }

  /** Types the command that the waiting upgrade names. */
  async #moveByHand(message: string): Promise<void> {
    const command = /(kubectl (?:label|-n)[^;]*)/.exec(message)?.[1];
    assert.ok(command !== undefined, `no command: ${message}`);
    this.#note(`a person types: ${command}`);
    await this.#ok(command);
    await this.#until("whole", "the upgrade has ended", (phase, done) => {
      this.#steps = done;
      return this.#ended(phase, "Completed");
    });
  }

  #ended(phase: string, wanted: string): boolean {
    assert.ok(phase === wanted || !ends.includes(phase), `it is ${phase}`);
    return phase === wanted;
  }

  /** Waits until an upgrade's status shows a state for its latest generation. */
  async #until(
    name: string,
    condition: string,
    accepts: (phase: string, done: number, message: string) => boolean,
  ): Promise<void> {
    const fields =
      '{.metadata.generation} {.status.observedGeneration} {.status.phase} {.status.progress} {.status.message}{"\\n"}';
    const command = ["kubectl", "get", "meshupgrade", name, "-o", `jsonpath=${fields}`];
    let last = "";
    await untilLine(this.#guide.lab, { condition, command, timeoutMs: upgradeTimeoutMs }, (line) => {
      const [generation, observed, phase = "", progress = "", ...words] = line.split(" ");
      const message = words.join(" ");
      if (generation !== observed) return false;
      if (message !== last) this.#note(`${phase} ${progress} ${message}`);
      last = message;
      try {
        return accepts(phase, Number(progress.split("/")[0]), message);
      } catch (error) {
        throw new Error(`${condition}: ${error instanceof Error ? error.message : String(error)}: ${line}`, {
          cause: error,
        });
      }
    });
  }

  /** Returns the labels of the namespaces. Leaves out the namespaces of the engine, whose names begin with `serin-`. */
  async #namespaces(): Promise<string> {
    const lines = await this.#ok(
      "kubectl get namespaces --no-headers -o custom-columns=N:.metadata.name,L:.metadata.labels",
    );
    return lines
      .split("\n")
      .filter((line) => !line.startsWith("serin-"))
      .join("\n");
  }

  /**
   * Returns the revisions of the proxies, separated by spaces. Only gateways of an installation have a label with their
   * revision.
   */
  async #revisions(): Promise<string> {
    const { items } = JSON.parse(await this.#ok("kubectl get pods -A -o json")) as PodList;
    const revision = "istio.io/rev";
    return items
      .filter(
        ({ metadata, spec }) =>
          metadata.namespace !== "serin-probes" &&
          metadata.deletionTimestamp === undefined &&
          [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy") &&
          metadata.labels?.["app"] !== "ztunnel",
      )
      .map(({ metadata }) => metadata.annotations?.[revision] ?? metadata.labels?.[revision] ?? "none")
      .toSorted()
      .join(" ");
  }
}
