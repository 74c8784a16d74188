import { Option, type Command } from "commander";
import { goDurationMs, userError } from "../base/index.ts";
import type { WaitingPerson } from "../kube/index.ts";
import type { CliContext, ConnectionFlags, ReportWait } from "./context.ts";

/** The flags that every verb has, as in istioctl. */
export interface CommonFlags extends ConnectionFlags {
  readonly namespace?: string;
  readonly istioNamespace?: string;
}

export interface CommonFlag {
  readonly short?: string;
  readonly long: string;
  readonly text: string;
  readonly hidden?: boolean;
  readonly isList?: boolean;
  /** The environment variable that sets the flag's default, as in istioctl. */
  readonly variable?: string;
}

const kubeconfigText = "the kubeconfig file (default: $KUBECONFIG, or else ~/.kube/config)";
const contextText = "the context of the kubeconfig (default: its current context)";

/** Adds the flags that name the cluster. A verb calls this where its help should list them. */
export function connectionFlags(command: Command): Command {
  return command.option("-c, --kubeconfig <path>", kubeconfigText).option("--context <name>", contextText);
}

/**
 * The declarations of {@link CommonFlags}. Every flag takes a value. The hidden ones exist for scripts that set
 * istioctl's logging.
 */
export const commonFlags: readonly CommonFlag[] = [
  { short: "-c", long: "--kubeconfig <path>", text: kubeconfigText },
  { long: "--context <name>", text: contextText },
  {
    short: "-n",
    long: "--namespace <namespace>",
    text: "the namespace (default: the namespace of the kubeconfig's context)",
  },
  {
    short: "-i",
    long: "--istioNamespace <namespace>",
    text: "the namespace of the control plane (default: istio-system)",
    variable: "ISTIOCTL_ISTIONAMESPACE",
  },
  {
    long: "--as <user>",
    text: "the user whom the API server impersonates, such as system:serviceaccount:NAMESPACE:NAME",
  },
  { long: "--as-uid <uid>", text: "the UID of the impersonated user" },
  { long: "--as-group <group>", text: "a group of the impersonated user; can be repeated", isList: true },
  {
    long: "--kubeclient-timeout <time>",
    text: "the time for one request to the API server: 30s, 2m (default: 15s until its first answer, then 60s)",
  },
  { long: "--vklog <level>", text: "has no effect; exists for old scripts", hidden: true },
  { long: "--log_output_level <levels>", text: "has no effect; exists for old scripts", hidden: true },
];

export const defaultIstioNamespace = "istio-system";

export async function namespaceOf(flags: CommonFlags, context: CliContext): Promise<string> {
  return flags.namespace ?? (await context.defaultNamespace(flags));
}

export function istioNamespaceOf({ istioNamespace }: CommonFlags): string {
  return istioNamespace ?? defaultIstioNamespace;
}

export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

/** Parses the port in a flag. 0 is valid, and means none. */
export function portFlag(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535)
    throw userError("argument-invalid", `a port must be a number from 0 to 65535, got "${value}"`);
  return port;
}

export function revisionFlag(command: Command): Command {
  return command.option("-r, --revision <revision>", "the control plane's revision");
}

/**
 * Parses the duration in a flag, and returns milliseconds. It may be a Go duration such as `1m30s`, or plain seconds
 * such as `90`.
 */
export function durationFlag(value: string): number {
  return durationOf(value, "a time");
}

/** How long a command waits for an API server's first answer. Most API servers answer within a second. */
const firstAnswerMs = 15_000;

/**
 * The client's time limit for `--kubeclient-timeout`. Empty if the flag is absent or 0: then the client's default
 * applies.
 */
export function requestLimit(time: string | undefined): { readonly requestTimeoutMs?: number } {
  const ms = time === undefined ? 0 : durationOf(time, "--kubeclient-timeout");
  return ms === 0 ? {} : { requestTimeoutMs: ms };
}

/** The client's option for a command of a person. `waiting` tells the person about requests that have no answer yet. */
export function waitingUser(
  time: string | undefined,
  waiting: ReportWait = () => undefined,
): { readonly person: WaitingPerson } {
  const raise = "a longer --kubeclient-timeout gives it more time";
  return {
    person: { firstAnswerMs: requestLimit(time).requestTimeoutMs ?? firstAnswerMs, raise, overdue: waiting },
  };
}

/**
 * A flag that takes a duration, and whose value is in milliseconds. The help shows the default as the text that is
 * passed, such as `30s`.
 */
export function durationOption(flags: string, text: string, fallback: string): Option {
  return new Option(flags, text).argParser(durationFlag).default(durationFlag(fallback), fallback);
}

/** Parses a duration as {@link durationFlag} does. The error message begins with `flag`. */
export function durationOf(value: string, flag: string): number {
  const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : goDurationMs(value);
  if (ms === undefined || ms < 0)
    throw userError("argument-invalid", `${flag} must look like 90, 300s or 1m30s, got "${value}"`);
  return ms;
}
