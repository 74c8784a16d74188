/** The fields of a pod that the Pod Security Standards check. */
export interface CheckedPod {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: CheckedSpec;
}

export interface CheckedSpec {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly hostUsers?: boolean;
  readonly os?: { readonly name?: string };
  readonly securityContext?: SecurityContext & { readonly sysctls?: readonly { readonly name: string }[] };
  readonly volumes?: readonly ({ readonly name: string } & Readonly<Record<string, unknown>>)[];
  readonly initContainers?: readonly CheckedContainer[];
  readonly containers?: readonly CheckedContainer[];
  readonly ephemeralContainers?: readonly CheckedContainer[];
}

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly seccompProfile?: { readonly type?: string };
  readonly appArmorProfile?: { readonly type?: string };
  readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string };
  readonly windowsOptions?: { readonly hostProcess?: boolean };
}

interface Handler {
  readonly httpGet?: { readonly host?: string };
  readonly tcpSocket?: { readonly host?: string };
}

export interface CheckedContainer {
  readonly name: string;
  readonly image?: string;
  readonly ports?: readonly { readonly hostPort?: number }[];
  readonly livenessProbe?: Handler;
  readonly readinessProbe?: Handler;
  readonly startupProbe?: Handler;
  readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler };
  readonly securityContext?: SecurityContext & {
    readonly privileged?: boolean;
    readonly allowPrivilegeEscalation?: boolean;
    readonly procMount?: string;
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  };
}

export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

export type Check = (pod: CheckedPod) => Violation | undefined;

export function containersOf(spec: CheckedSpec): readonly CheckedContainer[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

export function namesWhere(spec: CheckedSpec, isBad: (container: CheckedContainer) => boolean): readonly string[] {
  return containersOf(spec).flatMap((container) => (isBad(container) ? container.name : []));
}

/** The texts in order, each once. */
export function sorted(texts: Iterable<string>): readonly string[] {
  return [...new Set(texts)].toSorted((left, right) => (left < right ? -1 : left > right ? 1 : 0));
}

export function quoted(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join(", ");
}

export function plural(count: number, singular: string, several = `${singular}s`): string {
  return count === 1 ? singular : several;
}

export function containerText(names: readonly string[]): string {
  return `${plural(names.length, "container")} ${quoted(names)}`;
}

/** The parts of a pod that set a field: `pod and container "a"`. Returns the empty text if no part does. */
export function setterText(isPod: boolean, names: readonly string[]): string {
  return [...(isPod ? ["pod"] : []), ...(names.length === 0 ? [] : [containerText(names)])].join(" and ");
}

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}
