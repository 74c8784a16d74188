import type { Command } from "commander";
import { messageOf, nearestName, textAt, userError } from "../../base/index.ts";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { configMapKind } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf } from "../flags.ts";
import { adminPortFlag, askAdmin, asProxyPod, type AdminFlags, type ProxyPod } from "../proxies/proxy-admin.ts";
import { findPods, findPodsByLabel } from "../proxies/pods.ts";

interface LogFlags extends AdminFlags {
  readonly level?: string;
  readonly reset?: boolean;
  readonly selector?: string;
}

const levels = ["trace", "debug", "info", "warning", "error", "critical", "off"];
const sameLevels: Readonly<Record<string, string>> = { warn: "warning", none: "off" };
const defaultLevel = "warning";

export function logCommand(parent: Command, context: CliContext): void {
  parent
    .command("log [pod]")
    .alias("o")
    .description("show the log levels of a proxy; --level changes them until the proxy restarts")
    .option(
      "--level <levels>",
      `<level>, or <logger>:<level>, several separated by commas; levels are ${levels.join(", ")}`,
    )
    .option("-r, --reset", "reset the levels to the level that the injector sets")
    .option("-l, --selector <labels>", "select all pods with these labels")
    .option("-o, --output <format>", "short", "short")
    .option(...adminPortFlag)
    .action(async (name: string | undefined, flags: LogFlags) => await log(name, flags, context));
}

async function log(name: string | undefined, flags: LogFlags, context: CliContext): Promise<void> {
  if (flags.reset === true && flags.level !== undefined)
    throw userError("arguments-conflict", "--level cannot be combined with --reset");
  if ((name === undefined) === (flags.selector === undefined)) {
    throw userError(
      "argument-missing",
      name === undefined ? "neither a pod nor --selector is given" : "a pod cannot be combined with --selector",
      { hint: "expected a pod <name>[.<namespace>], or labels with -l" },
    );
  }
  const wanted = parseLevels(flags.level);
  const client = await context.connect(flags);
  const found =
    name === undefined
      ? await findPodsByLabel(client, flags.selector ?? "", flags, context)
      : await findPods(client, name, flags, context);
  const pods = found.map((pod) => asProxyPod(pod, context));
  const changes = flags.reset === true ? [`level=${await injectedLevel(client, flags)}`] : wanted;
  for (const pod of pods) {
    await refuseUnknownLoggers(pod, changes, flags, context);
    let answer = "";
    for (const change of changes.length === 0 ? [""] : changes)
      answer = await askAdmin(pod, "POST", change === "" ? "/logging" : `/logging?${change}`, flags, context);
    context.out(`${pod.name}.${pod.namespace}:\n${answer.trimEnd()}\n`);
  }
}

/**
 * Parses the changes of levels. Those for all loggers (`level=debug`) come before those for single ones (`http=trace`).
 */
function parseLevels(text: string | undefined): readonly string[] {
  const changes = (text ?? "")
    .split(",")
    .filter((part) => part !== "")
    .map((part) => {
      const [, logger = "level", word = ""] = /^(?:.*::)?(?:([^:=]+)[:=])?([^:=]*)$/.exec(part) ?? [];
      const level = sameLevels[word] ?? word;
      if (!levels.includes(level)) {
        const near = nearestName(word, levels);
        throw userError(
          "argument-invalid",
          `--level: "${part}" is not a known level${near === undefined ? "" : `; did you mean ${near}?`}`,
          { hint: `levels are ${levels.join(", ")}` },
        );
      }
      return `${logger}=${level}`;
    });
  return changes.toSorted((a, b) => Number(b.startsWith("level=")) - Number(a.startsWith("level=")));
}

async function refuseUnknownLoggers(
  pod: ProxyPod,
  changes: readonly string[],
  flags: LogFlags,
  context: CliContext,
): Promise<void> {
  const wanted = changes.map((change) => change.split("=")[0] ?? "").filter((logger) => logger !== "level");
  if (wanted.length === 0) return;
  const known = [...(await askAdmin(pod, "POST", "/logging", flags, context)).matchAll(/^\s+([\w.]+): /gm)].map(
    ([, logger = ""]) => logger,
  );
  const unknown = wanted.find((logger) => !known.includes(logger));
  if (unknown === undefined) return;
  const near = nearestName(unknown, known);
  throw userError(
    "argument-invalid",
    `the proxy of ${pod.name}.${pod.namespace} has no logger "${unknown}"${near === undefined ? "" : `; did you mean ${near}?`}`,
    { hint: `it has ${known.join(", ")}` },
  );
}

async function injectedLevel(client: KubeClient, flags: LogFlags): Promise<string> {
  const found = await client.get(configMapKind, "istio-sidecar-injector", istioNamespaceOf(flags));
  const values = found?.data?.["values"];
  if (values === undefined) return defaultLevel;
  const { parse } = await import("yaml");
  try {
    return textAt(parse(values, readForKubernetes), "global", "proxy", "logLevel") ?? defaultLevel;
  } catch (error) {
    throw userError(
      "injection-config-invalid",
      `data.values of ConfigMap ${istioNamespaceOf(flags)}/istio-sidecar-injector is not valid YAML: ${messageOf(error)}`,
      { hint: "correct the ConfigMap, or name a level: --level warning" },
    );
  }
}
