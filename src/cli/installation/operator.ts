import type { Command } from "commander";
import { stringify } from "yaml";
import { userError, isDnsLabel } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { apiVersionOf, defineKind, type KubernetesObject } from "../../api/index.ts";
import { defaultHub, hubFault, tagFault } from "../../api/images/index.ts";
import {
  clusterRoleKind,
  deploymentKind,
  namespaceKind,
  podKind,
  serviceAccountKind,
  serviceKind,
} from "../../api/kubernetes/index.ts";
import { parseIstioOperator } from "../../api/istio/index.ts";
import { installedKindOf, operatorName, renderOperator, type OperatorSettings } from "../../install/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";
import { findPodObstacle, refusedPods, type RefusedWorkload } from "../../kube/obstacles/index.ts";
import { checkNamespaceNames, namesIn } from "../existing-namespaces.ts";
import { readYaml } from "./install-input.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { connectionFlags } from "../flags.ts";

interface OperatorFlags extends ConnectionFlags {
  readonly hub: string;
  readonly tag?: string;
  readonly operatorNamespace: string;
  readonly watchedNamespaces: string;
  readonly revision?: string;
  readonly imagePullSecrets: string;
  readonly filename?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly purge?: boolean;
  readonly skipConfirmation?: boolean;
}

const fieldManager = "istio-operator-init";
const readyTimeoutMs = 120_000;
const pollMs = 100;

const istioOperatorKind = defineKind<KubernetesObject>({
  group: "install.istio.io",
  versions: ["v1alpha1"],
  kind: "IstioOperator",
  plural: "istiooperators",
  namespaced: true,
});
const clusterRoleBindingKind = defineKind<KubernetesObject>({
  group: "rbac.authorization.k8s.io",
  versions: ["v1"],
  kind: "ClusterRoleBinding",
  plural: "clusterrolebindings",
  namespaced: false,
});

export function operatorCommands(program: Command, context: CliContext): void {
  const operator = program
    .command("operator")
    .description("install or remove the controller that reconciles IstioOperator objects");
  for (const verb of ["init", "dump"] as const) {
    operatorFlags(
      operator
        .command(verb)
        .description(
          verb === "init"
            ? "install the controller of IstioOperator objects in the cluster"
            : "print the objects that init would write",
        ),
      context,
    )
      .option(
        "--imagePullSecrets <names>",
        "the Secrets of the operator's namespace with which its image is pulled, separated by commas",
        "",
      )
      .option("-f, --filename <file>", "a file with an IstioOperator object for the controller to install")
      .option("--dry-run", "print the changes, and write nothing")
      .action(
        async (flags: OperatorFlags) => await init(verb === "dump" ? { ...flags, dryRun: true } : flags, context),
      );
  }
  operatorFlags(operator.command("remove").description("remove the controller, and keep its installations"), context)
    .option("--force", "remove the controller even if IstioOperator objects exist")
    .option("--purge", "remove every operator of the cluster")
    .option("-y, --skip-confirmation", "do not ask for confirmation")
    .action(async (flags: OperatorFlags) => await remove(flags, context));
}

function operatorFlags(command: Command, context: CliContext): Command {
  return connectionFlags(command)
    .option("--hub <hub>", "the hub of the operator's image", defaultHub)
    .option("--tag <tag>", "the tag of the operator's image", context.version)
    .option("-o, --operatorNamespace <namespace>", "the namespace of the controller", "istio-operator")
    .option(
      "--watchedNamespaces <namespaces>",
      "the namespaces whose IstioOperator objects the controller reconciles, separated by commas",
      "istio-system",
    )
    .option("-r, --revision <revision>", "the revision of the controller itself, if several controllers run");
}

async function init(flags: OperatorFlags, context: CliContext): Promise<void> {
  const settings: OperatorSettings = {
    hub: flags.hub,
    tag: flags.tag ?? context.version,
    namespace: flags.operatorNamespace,
    watchedNamespaces: namesIn([flags.watchedNamespaces]),
    revision: flags.revision ?? "",
    imagePullSecrets: namesIn([flags.imagePullSecrets]),
  };
  checkSettings(settings);
  const requested = flags.filename === undefined ? [] : await operatorObjects(flags.filename, settings, context);
  const objects = renderOperator(settings, await context.customResources("istio-operator"));
  if (flags.dryRun === true) {
    for (const object of [...objects, ...requested]) context.out(`---\n${stringify(object, writtenForKubernetes)}`);
    return;
  }
  const client = await context.connect(flags);
  context.out(
    `Installing operator controller in namespace: ${settings.namespace} using image: ${settings.hub}/operator:${settings.tag}\n`,
  );
  context.out(
    `Operator controller will watch namespaces: ${settings.watchedNamespaces.length === 0 ? "all" : settings.watchedNamespaces.join(", ")}\n`,
  );
  for (const object of objects) {
    const kind = installedKindOf(object);
    // Leave an existing namespace as it is, with what others have set there.
    if (kind.kind === "Namespace" && (await client.get(namespaceKind, object.metadata.name ?? "")) !== undefined)
      continue;
    await client.apply(kind, object, { fieldManager, force: true });
  }
  await waitForDeployment(client, settings, context);
  context.out("✔ Istio operator installed\n");
  for (const object of requested) await client.apply(istioOperatorKind, object, { fieldManager, force: true });
  context.out("✔ Installation complete\n");
}

const secretName = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;

function checkSettings(settings: OperatorSettings): void {
  const { hub, tag, namespace, watchedNamespaces, revision, imagePullSecrets = [] } = settings;
  const faults = [
    ["--hub", hubFault(hub)],
    ["--tag", tagFault(tag)],
    [
      "--revision",
      revision === "" || isDnsLabel(revision)
        ? undefined
        : `must have lower-case letters, digits and "-" only, got "${revision}"`,
    ],
  ] as const;
  for (const [flag, fault] of faults) if (fault !== undefined) throw userError("argument-invalid", `${flag} ${fault}`);
  const wrong = imagePullSecrets.find((name) => !secretName.test(name));
  if (wrong !== undefined)
    throw userError(
      "argument-invalid",
      `--imagePullSecrets: "${wrong}" cannot be the name of a Secret: expected lower-case letters, digits, "-" and "."`,
    );
  checkNamespaceNames([namespace], "--operatorNamespace");
  checkNamespaceNames(watchedNamespaces, "--watchedNamespaces");
}

async function operatorObjects(
  file: string,
  settings: OperatorSettings,
  context: CliContext,
): Promise<KubernetesObject[]> {
  return (await readYaml(file, context)).map((raw) => {
    const parsed = parseIstioOperator(raw);
    if (parsed.value === undefined)
      throw userError(
        "install-invalid",
        `${file}: ${parsed.errors.map(({ path, message }) => `${path}: ${message}`).join("\n")}`,
      );
    const namespace = raw.metadata?.namespace ?? settings.watchedNamespaces[0] ?? "istio-system";
    return {
      ...raw,
      apiVersion: apiVersionOf(istioOperatorKind),
      kind: istioOperatorKind.kind,
      metadata: { ...raw.metadata, name: raw.metadata?.name ?? "installed-state", namespace },
    };
  });
}

async function waitForDeployment(
  client: KubeClient,
  { namespace, revision }: OperatorSettings,
  { clock, signal }: CliContext,
): Promise<void> {
  const name = operatorName(revision);
  const deadline = clock.steadyMs() + readyTimeoutMs;
  for (;;) {
    const { metadata, status } = (await client.get(deploymentKind, name, namespace)) ?? { metadata: {} };
    const isSeen = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
    if (isSeen && Math.min(status?.updatedReplicas ?? 0, status?.availableReplicas ?? 0) > 0) return;
    if (clock.steadyMs() > deadline) {
      const pods = await client
        .list(podKind, { namespace, labelSelector: `name=${name}` })
        .catch(() => ({ items: [] }));
      const workload: RefusedWorkload = { kind: "Deployment", namespace, name };
      const obstacle =
        (await findPodObstacle(client, pods.items).catch(() => undefined)) ??
        (await refusedPods(client, workload).catch(() => undefined));
      const why = obstacle === undefined ? "" : `: ${obstacle.text}`;
      throw userError(
        "not-ready",
        `Deployment ${namespace}/${name} was not ready after ${readyTimeoutMs / 1000} s${why}`,
        {
          hint: `kubectl -n ${namespace} describe pod -l name=${name}`,
        },
      );
    }
    await clock.sleep(pollMs, signal);
  }
}

async function remove(flags: OperatorFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const { items } = await client.list(deploymentKind, { labelSelector: "operator.istio.io/managed-by=serin" });
  const wanted = items.filter(
    ({ metadata }) =>
      flags.purge === true ||
      (metadata.name === operatorName(flags.revision ?? "") && metadata.namespace === flags.operatorNamespace),
  );
  if (wanted.length === 0) {
    throw userError(
      "not-installed",
      `there is no operator ${operatorName(flags.revision ?? "")} in namespace ${flags.operatorNamespace}`,
      {
        hint:
          items.length === 0
            ? "no operator is installed"
            : `installed: ${items.map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`).join(", ")}`,
      },
    );
  }
  await refuseWhileNeeded(client, wanted.length === items.length, flags);
  if (
    flags.skipConfirmation !== true &&
    !(await context.confirm("The Istio operator will be removed. Its installations stay. Proceed? (y/N) "))
  ) {
    throw userError("cancelled", "nothing was removed", { hint: "answer y, or pass --skip-confirmation" });
  }
  context.out("Removing Istio operator...\n");
  for (const { metadata } of wanted) {
    const { name = "", namespace } = metadata;
    await client.delete(deploymentKind, name, namespace, { propagationPolicy: "Background" });
    await client.delete(serviceKind, name, namespace);
    await client.delete(clusterRoleBindingKind, name);
    await client.delete(clusterRoleKind, name);
    await client.delete(serviceAccountKind, name, namespace);
  }
  context.out("✔ Removal complete\n");
}

/** Throws if the last controller would be removed while IstioOperators exist. Nothing else removes their finalizers. */
async function refuseWhileNeeded(client: KubeClient, isLast: boolean, flags: OperatorFlags): Promise<void> {
  if (!isLast || flags.force === true) return;
  const objects = await itemsIfServed(client.list(istioOperatorKind));
  const held = objects
    .filter(({ metadata }) => (metadata.finalizers ?? []).length > 0)
    .map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`);
  if (held.length === 0) return;
  throw userError("in-use", `only the controller can delete these IstioOperator objects: ${held.join(", ")}`, {
    hint: "delete them with kubectl first, or pass --force and remove their finalizers yourself",
  });
}
