import type { Container, Pod, PodSpec, SecurityContext, SecurityProfile } from "../../../api/kubernetes/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import type { ImageUser } from "../../images/index.ts";
import type { ContainerRights } from "./starter.ts";

/** The capabilities that container runtimes give a container by default. */
const defaultCapabilities = [
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "kill",
  "setgid",
  "setuid",
  "setpcap",
  "net_bind_service",
  "net_raw",
  "sys_chroot",
  "mknod",
  "audit_write",
  "setfcap",
];

/** The uid of sidecars. The redirect rules in a pod recognise sidecars by it. */
const sidecarUser = 1337;

const root: ImageUser = { user: 0, group: 0 };

/** What determines, together with the manifest, the user of a container's program. */
interface KnownUsers {
  /** The number of uids in the lab's user namespace. If there is only one, every container runs as its root. */
  readonly uidCount: number;
  /** The user of the container's image. It applies only if the manifest sets `runAsNonRoot` and no `runAsUser`. */
  readonly runsAs: ImageUser;
}

export function containerRights(container: Container, pod: Pod, { uidCount, runsAs }: KnownUsers): ContainerRights {
  const context = container.securityContext;
  const ofPod = pod.spec?.securityContext;
  const otherwise = forbidsRoot(container, pod) ? runsAs : root;
  const wantedUser = context?.runAsUser ?? ofPod?.runAsUser ?? otherwise.user;
  const wantedGroup = context?.runAsGroup ?? ofPod?.runAsGroup ?? otherwise.group;
  const hasUser = wantedUser < uidCount && wantedGroup < uidCount;
  return {
    privileged: context?.privileged === true,
    // A sidecar that cannot get its own uid runs as the same user as its application. The redirect rules then recognise
    // its packets by a mark, and a program needs NET_ADMIN to set that mark.
    capabilities: [
      ...capabilitiesOf(context?.capabilities),
      ...(wantedUser === sidecarUser && !hasUser ? ["net_admin"] : []),
    ],
    user: hasUser ? wantedUser : 0,
    group: hasUser ? wantedGroup : 0,
    noNewPrivileges: context?.allowPrivilegeEscalation === false,
  };
}

/**
 * Returns the kubelet's error for a container that would run as root although its manifest forbids that. Returns
 * undefined for any other container.
 */
export function refusalOfRoot(container: Container, pod: Pod, { user }: ImageUser): string | undefined {
  if (!forbidsRoot(container, pod)) return undefined;
  const wanted = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  if ((wanted ?? user) !== 0) return undefined;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const fault =
    wanted === 0
      ? "container's runAsUser breaks non-root policy"
      : "container has runAsNonRoot and image will run as root";
  return `${fault} (pod: "${name}_${namespace}(${uid})", container: ${container.name})`;
}

function forbidsRoot({ securityContext }: Container, { spec }: Pod): boolean {
  return (securityContext?.runAsNonRoot ?? spec?.securityContext?.runAsNonRoot) === true;
}

/** Reports fields of pods that the lab does not apply. Kubernetes applies them, so a pod's author may rely on them. */
export class UnmetFields {
  readonly #uidCount: number;
  #hasNamedDefault = false;

  constructor(uidCount: number) {
    this.#uidCount = uidCount;
  }

  /**
   * The events for a new pod. Most manifests contain the profile `RuntimeDefault`, so only the first pod of the node
   * that has this profile gets an event about it.
   */
  notesFor(pod: Pod): readonly EventNote[] {
    const notes: EventNote[] = [];
    const identity = unmetIdentity(pod, this.#uidCount);
    if (identity !== undefined) notes.push({ type: "Warning", reason: "IdentityNotApplied", message: identity });
    const { wanted, hasDefault } = unmetFields(pod);
    if (wanted.length > 0) {
      const fields = wanted.length === 1 ? "this field" : "these fields";
      const message = `${wanted.join(", ")} not applied: the lab cannot apply ${fields}, and runs the pod without`;
      notes.push({ type: "Warning", reason: "FieldsNotApplied", message });
    }
    if (hasDefault && !this.#hasNamedDefault) {
      this.#hasNamedDefault = true;
      const message = `${runtimeDefault} profiles not applied: the lab has no seccomp and AppArmor profiles, and runs this pod and others of the node without`;
      notes.push({ type: "Normal", reason: "FieldsNotApplied", message });
    }
    return notes;
  }
}

const runtimeDefault = "RuntimeDefault";
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/";
const profileFields = ["seccompProfile", "appArmorProfile"] as const;

/** The fields that have no effect in the lab, each with its containers. Also whether the pod has a default profile. */
function unmetFields({ metadata, spec }: Pod): { readonly wanted: readonly string[]; readonly hasDefault: boolean } {
  if (spec === undefined) return { wanted: [], hasDefault: false };
  const wanted: string[] = [];
  let hasDefault = false;
  const note = (name: string, value: SecurityProfile, place: string): void => {
    if (value.type === runtimeDefault) hasDefault = true;
    else if (value.type !== "Unconfined")
      wanted.push(`${name} ${[value.type, value.localhostProfile].filter(Boolean).join(" ")}${place}`);
  };
  const noteContext = (context: SecurityContext | undefined, place: string): void => {
    for (const name of profileFields) {
      const profile = context?.[name];
      if (profile !== undefined) note(name, profile, place);
    }
    if (context?.seLinuxOptions !== undefined && !isUnconfined(context.seLinuxOptions))
      wanted.push(`seLinuxOptions${place}`);
    if (context?.procMount !== undefined && context.procMount !== "Default")
      wanted.push(`procMount ${context.procMount}${place}`);
  };
  noteContext(spec.securityContext, "");
  for (const { name, securityContext } of [...(spec.initContainers ?? []), ...spec.containers])
    noteContext(securityContext, ` of container ${name}`);
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    if (!key.startsWith(appArmorAnnotation) || value === "unconfined") continue;
    if (value === "runtime/default") hasDefault = true;
    else wanted.push(`annotation ${key}`);
  }
  if (lacksVolumeGroup(spec)) wanted.push(`fsGroup ${spec.securityContext?.fsGroup}`);
  if ((spec.securityContext?.supplementalGroups ?? []).length > 0) wanted.push("supplementalGroups");
  if (spec.hostUsers === false) wanted.push("hostUsers: false");
  if (spec.hostIPC === true) wanted.push("hostIPC");
  if (spec.shareProcessNamespace === true) wanted.push("shareProcessNamespace");
  return { wanted, hasDefault };
}

/** Whether the options only set SELinux's unconfined type. The lab's containers run without SELinux limits anyway. */
function isUnconfined(options: object): boolean {
  return Object.entries(options).every(([name, value]) => name === "type" && value === "spc_t");
}

/**
 * Whether a container may lack the group of the pod's volumes (`fsGroup`). Root needs no group, and a container that
 * already runs with this group has it.
 */
function lacksVolumeGroup({ securityContext, initContainers = [], containers }: PodSpec): boolean {
  const group = securityContext?.fsGroup;
  if (group === undefined) return false;
  return [...initContainers, ...containers].some(({ securityContext: own }) => {
    const user = own?.runAsUser ?? securityContext?.runAsUser;
    const forbidsRoot = own?.runAsNonRoot ?? securityContext?.runAsNonRoot;
    return (
      (user ?? (forbidsRoot === true ? undefined : 0)) !== 0 &&
      (own?.runAsGroup ?? securityContext?.runAsGroup) !== group
    );
  });
}

/**
 * Returns the text of an event about uids and gids that the pod requests and this lab cannot provide, or undefined if
 * there are none.
 */
function unmetIdentity(pod: Pod, uidCount: number): string | undefined {
  const unmet = new Set<string>();
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const contexts = [pod.spec?.securityContext, ...containers.map(({ securityContext }) => securityContext)];
  for (const context of contexts) {
    if (context?.runAsUser !== undefined && context.runAsUser >= uidCount) unmet.add(`runAsUser ${context.runAsUser}`);
    if (context?.runAsGroup !== undefined && context.runAsGroup >= uidCount)
      unmet.add(`runAsGroup ${context.runAsGroup}`);
  }
  if (uidCount === 1 && containers.some((container) => forbidsRoot(container, pod))) unmet.add("runAsNonRoot");
  if (unmet.size === 0) return undefined;
  return `${[...unmet].join(", ")} not applied: this lab has ${uidCount === 1 ? "only one user" : `${uidCount} users`}; its programs run as that user`;
}

function capabilitiesOf(wanted: { add?: string[]; drop?: string[] } | undefined): string[] {
  const short = (name: string): string => name.toLowerCase().replace(/^cap_/, "");
  const granted = new Set(defaultCapabilities);
  for (const name of (wanted?.drop ?? []).map(short)) {
    if (name === "all") granted.clear();
    else granted.delete(name);
  }
  for (const name of (wanted?.add ?? []).map(short)) granted.add(name === "all" ? "all" : name);
  return [...granted];
}
