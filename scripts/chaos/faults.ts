import { rmSync, statfsSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  leaseKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../src/api/kubernetes/index.ts";
import type { KubeClient } from "../../src/kube/index.ts";
import type { LabCluster } from "../../test/support/lab-cluster.ts";
import type { MachineProcess } from "../../test/support/processes.ts";
import { inNetworkOf } from "../../test/support/lab-network.ts";
import { gatewayService } from "../proofs/upgrade-proof/objects.ts";
import { seconds } from "../proofs/upgrade-proof/proof.ts";
import { inTime, untilDone, type Chaos } from "./chaos.ts";
import { steppedClock } from "./clock-step.ts";
import { afterKill, podBefore, podOfProcess } from "./killed-pod.ts";
import type { AimedFault, Fault } from "./fault-injector.ts";

const awayMs = 5_000;
const lastingMs = 10_000;
/**
 * The time limit for a killed pod to become ready again. A pilot needs half a minute on a machine with a load average
 * of 40.
 */
const readyAgainMs = 60_000;
/**
 * The time limit of one attempt of a command or request. If an attempt to undo a fault fails or takes longer, the
 * injector tries again until its own limit is over.
 */
const orderLimitMs = 5_000;
/** The size limit of a file system that is filled. A larger file system is the machine's own. */
const maxFilledBytes = 2 ** 30;
/**
 * The sizes in bytes of the pieces to write. Large pieces come first, so that the disk is full before the fault ends.
 */
const fillBytes = [2 ** 24, 2 ** 12] as const;
export const hangingWebhookAddress = { host: "172.18.0.1", port: 9443 } as const;

interface KilledRole {
  readonly role: string;
  readonly cuts?: string;
  /**
   * The prefix of the names of the pods whose processes are killed. If absent, every process of the role can be killed.
   */
  readonly pods?: string;
  /** Whether the role works again after a kill at `killedMs`. Absent for roles that the other roles can do without. */
  readonly isBack?: (chaos: Chaos, killed: MachineProcess, killedMs: number) => Promise<boolean>;
  /** Set if other processes depend on the role's pod. Then the fault lasts until a killed pod is ready again. */
  readonly isNeeded?: true;
}

/**
 * The roles whose processes are killed. The supervisor is not one of them, because all processes of the lab end with
 * it.
 */
const roles: readonly KilledRole[] = [
  { role: "cluster-apiserver", isBack: apiServerIsBack },
  { role: "cluster-controllers" },
  { role: "cluster-node", isBack: nodeIsBack },
  // The new revision of a MeshUpgrade has one pilot. Without it, a ztunnel that is killed at the same time does not
  // become ready.
  { role: "pilot", isNeeded: true },
  { role: "cni" },
  { role: "rollout" },
  { role: "ztunnel", cuts: "" },
  // Only the gateway's pods: the load does not pass through the sidecars of a MeshUpgrade's probes.
  { role: "proxy", cuts: "gateway", pods: gatewayService },
];

/** The links of the workers, by their names on the lab's host. */
const workerLinks = ["node1", "node2"] as const;

export const faults: readonly Fault[] = [
  ...roles.map((killedRole) => ({
    name: `kill -9 of a ${killedRole.role}`,
    cuts: killedRole.cuts,
    lastsMs: 0,
    ...(killedRole.isNeeded === true ? { endMs: readyAgainMs } : {}),
    aim: (chaos: Chaos, signal: AbortSignal) => {
      const target = someProcess(chaos, killedRole);
      const { cuts, isNeeded = false } = killedRole;
      return cuts === undefined && !isNeeded
        ? killed(chaos, killedRole, target)
        : killedPod(chaos, target.pid, isNeeded, signal);
    },
  })),
  { name: "the API server away for 5 s", cuts: undefined, lastsMs: awayMs, aim: apiServerAway },
  { name: "a node's network away for 5 s", cuts: "", lastsMs: awayMs, aim: nodeAway },
  { name: "the disk full for 10 s", cuts: undefined, lastsMs: lastingMs, aim: diskFull },
  { name: "a clock one minute back for 10 s", cuts: undefined, lastsMs: lastingMs, aim: clockStep },
  { name: "a webhook that hangs for 10 s", cuts: undefined, lastsMs: lastingMs, aim: webhookHangs },
  { name: "a slow link for 10 s", cuts: undefined, lastsMs: lastingMs, aim: slowLink },
];

function some<One>({ random }: Chaos, all: readonly One[], noun: string): One {
  const one = all[Math.floor(random() * all.length)];
  if (one === undefined) throw new Error(`no ${noun} runs`);
  return one;
}

function someProcess(chaos: Chaos, { role, pods }: KilledRole): MachineProcess {
  const all = chaos.proof.lab.cluster.ofRole(role);
  const candidates = pods === undefined ? all : all.filter(({ pid }) => podOfProcess(pid)?.name.startsWith(pods));
  return some(chaos, candidates, role);
}

/** Sends a signal to a process. Returns false if the process has already ended. */
function signalled(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/**
 * Kills a process that the load does not need. The fault lasts until the role works again, because the next fault may
 * need the role: only the node's process can restart a killed pod.
 */
function killed(chaos: Chaos, { role, isBack }: KilledRole, target: MachineProcess): AimedFault {
  const { clock } = chaos;
  let killedMs = clock.nowMs();
  return {
    begin: () => {
      killedMs = clock.nowMs();
      process.kill(target.pid, "SIGKILL");
      return `pid ${target.pid}`;
    },
    end: async () => {
      if (isBack === undefined) return;
      const back = await inTime(role, orderLimitMs, async () => await isBack(chaos, target, killedMs));
      if (!back) throw new Error(`the ${role} does not work again`);
    },
  };
}

async function apiServerIsBack({ proof }: Chaos): Promise<boolean> {
  return (await proof.lab.api.client.raw("GET", "/readyz")).status === 200;
}

/** A node renews its lease as soon as its process is back. */
async function nodeIsBack({ proof }: Chaos, { words }: MachineProcess, killedMs: number): Promise<boolean> {
  const name = words[words.indexOf("--name") + 1] ?? "";
  const lease = await proof.lab.api.client.get(leaseKind, name, "kube-node-lease");
  return Date.parse(lease?.spec?.renewTime ?? "") > killedMs;
}

/**
 * Kills a process that connections of the load pass through, or that other processes need. The fault lasts until no new
 * connection can reach the killed process. If other processes need it, the fault lasts until its pod is ready again.
 */
async function killedPod(
  { proof, clock }: Chaos,
  pid: number,
  isNeeded: boolean,
  signal: AbortSignal,
): Promise<AimedFault> {
  const { client } = proof.lab.api;
  const pod = podOfProcess(pid);
  if (pod === undefined) throw new Error(`pid ${pid} does not name its pod`);
  const ask = async <Value>(work: () => Promise<Value>): Promise<Value> =>
    await inTime(`reading pod ${pod.name}`, orderLimitMs, work);
  // The API server may still recover from the previous fault.
  const found = await untilDone(clock, signal, async () => await ask(async () => await podBefore(client, pod)));
  const before = isNeeded ? { ...found, listed: undefined } : found;
  let killedMs = clock.steadyMs();
  return {
    begin: () => {
      killedMs = clock.steadyMs();
      process.kill(pid, "SIGKILL");
      return `pid ${pid} of pod ${pod.name}`;
    },
    end: async () => {
      const after = await ask(async () => await afterKill(client, pod, before));
      if (after === undefined)
        throw new Error(
          before.listed === undefined
            ? `pod ${pod.name} is not ready again`
            : `connections may still reach the dead process of pod ${pod.name}`,
        );
      proof.note(`  pod ${pod.name} ${after}, ${seconds(clock.steadyMs() - killedMs)} after the kill`);
    },
  };
}

function apiServerAway(chaos: Chaos): AimedFault {
  const { pid } = someProcess(chaos, { role: "cluster-apiserver" });
  return {
    begin: () => {
      process.kill(pid, "SIGSTOP");
      return `pid ${pid} stands still`;
    },
    end: () => signalled(pid, "SIGCONT"),
  };
}

function nodeAway(chaos: Chaos): AimedFault {
  const link = some(chaos, workerLinks, "worker");
  const { cluster } = chaos.proof.lab;
  return {
    begin: async () => {
      await onHost(cluster, ["ip", "link", "set", link, "down"]);
      return `link ${link}`;
    },
    end: async () => await onHost(cluster, ["ip", "link", "set", link, "up"]),
  };
}

function diskFull(): AimedFault {
  const directory = tmpdir();
  const { blocks, bsize } = statfsSync(directory);
  if (blocks * bsize > maxFilledBytes)
    throw new Error(`${directory} is not a separate file system: this user may not mount one`);
  const file = join(directory, "filler");
  return {
    begin: async (signal) => {
      for (const bytes of fillBytes) await fill(file, bytes, signal);
      return directory;
    },
    end: () => rmSync(file, { force: true }),
  };
}

async function fill(file: string, bytes: number, signal: AbortSignal): Promise<void> {
  const piece = Buffer.alloc(bytes, 1);
  for (let filled = 0; filled < maxFilledBytes && !signal.aborted; filled += bytes) {
    try {
      await appendFile(file, piece);
    } catch {
      // The file system is full.
      return;
    }
  }
}

function clockStep(chaos: Chaos): AimedFault {
  const target = some(chaos, roles, "role");
  const { pid } = someProcess(chaos, target);
  const { cluster } = chaos.proof.lab;
  const evaluate = async (expression: string): Promise<void> => {
    process.kill(pid, "SIGUSR1");
    await onHost(cluster, [process.execPath, "--input-type=module", "-e", steppedClock.evaluator, expression], pid);
  };
  return {
    begin: async () => {
      await evaluate(steppedClock.back);
      return `${target.role}, pid ${pid}`;
    },
    end: async () => {
      if (signalled(pid, 0)) await evaluate(steppedClock.forward);
    },
  };
}

/** Installs a webhook whose server accepts connections and never answers. */
function webhookHangs({ proof, clock }: Chaos): AimedFault {
  const { client } = proof.lab.api;
  const name = "serin-chaos-hangs";
  const remove = async (): Promise<void> =>
    await inTime(
      `deleting ${name}`,
      orderLimitMs,
      async () => await client.delete(validatingWebhookConfigurationKind, name),
    );
  return {
    begin: async (signal) => {
      await untilDone(clock, signal, async () => await hangingWebhook(client, name));
      return "for configmaps, pods, httproutes and gateways";
    },
    end: remove,
  };
}

async function hangingWebhook(client: KubeClient, name: string): Promise<void> {
  const { host, port } = hangingWebhookAddress;
  const rule = (apiGroups: string[], resources: string[]) => ({
    apiGroups,
    apiVersions: ["*"],
    operations: ["CREATE", "UPDATE"],
    resources,
  });
  const configuration: WebhookConfiguration = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name: "hangs.serin.dev",
        clientConfig: { url: `https://${host}:${port}/` },
        rules: [rule([""], ["configmaps", "pods"]), rule(["gateway.networking.k8s.io"], ["httproutes", "gateways"])],
        failurePolicy: "Fail",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        timeoutSeconds: 2,
      },
    ],
  };
  const options = { fieldManager: "serin-chaos", force: true };
  await inTime(
    `applying ${name}`,
    orderLimitMs,
    async () => await client.apply(validatingWebhookConfigurationKind, configuration, options),
  );
}

/** Adds a delay of 200 ms and a loss of 1 %. If the kernel lacks netem, adds only the loss. */
function slowLink(chaos: Chaos): AimedFault {
  const { cluster } = chaos.proof.lab;
  const link = some(chaos, workerLinks, "worker");
  const chain = `type filter hook ingress device ${link} priority 0`;
  const netem = ["tc", "qdisc", "replace", "dev", link, "root", "netem", "delay", "200ms", "loss", "1%"];
  let undo: readonly string[] = [];
  return {
    begin: async () => {
      // Both commands for undoing also succeed when nothing was changed.
      undo = ["sh", "-c", `tc qdisc del dev ${link} root; ! tc qdisc show dev ${link} | grep -q netem`];
      if (await isDoneOnHost(cluster, netem)) return `200 ms and 1 % loss on ${link}`;
      if (!(await isDoneOnHost(cluster, ["nft", "--version"])))
        throw new Error("this kernel has no netem, and the package nftables is not installed");
      undo = ["nft", "add table netdev chaos; delete table netdev chaos"];
      await onHost(cluster, [
        "nft",
        `table netdev chaos { chain loss { ${chain}; numgen random mod 100 < 1 drop; }; }`,
      ]);
      return `1 % loss on ${link}; no delay, because this kernel has no netem`;
    },
    end: async () => await onHost(cluster, undo),
  };
}

/** Runs a program in the network namespace of the lab's host, or in that of the process `pid`. */
async function onHost(cluster: LabCluster, words: readonly string[], pid?: number): Promise<void> {
  const { code, output } = await cluster.run(inNetworkOf(cluster, words, pid), { timeoutMs: orderLimitMs });
  if (code !== 0) throw new Error(`${shownCommand(words)} ended with ${code}: ${output.trim()}`);
}

const shownCharacters = 40;

/** Returns the command as text. Long words, which are whole programs, become an ellipsis. */
function shownCommand(words: readonly string[]): string {
  return words.map((word) => (word.length > shownCharacters || word.includes("\n") ? "…" : word)).join(" ");
}

async function isDoneOnHost(cluster: LabCluster, words: readonly string[]): Promise<boolean> {
  const { code } = await cluster.run(inNetworkOf(cluster, words), { timeoutMs: orderLimitMs });
  return code === 0;
}
