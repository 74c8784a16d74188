// Gives every order of a rollout by its button. Checks what the dialog says, and the state of the cluster afterwards.
import type { Locator, Page } from "playwright-core";
import { canaryKind, meshUpgradeKind, type RolloutStatus } from "../../../src/api/serin/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { firstWave, upgradeObject } from "../upgrade-proof/mesh-upgrade.ts";
import { productpageRoute } from "../upgrade-proof/objects.ts";
import { revisions, samplesAt, versions, type Proof } from "../upgrade-proof/proof.ts";
import { canaryName } from "./views.ts";

const stepTimeoutMs = 90_000;
/**
 * The time limit for a wave of a MeshUpgrade. Its probes start pods of every kind, workloads restart, and a ztunnel
 * ends only after its last connection has ended.
 */
const waveTimeoutMs = 900_000;
const seenTimeoutMs = 10_000;

export const upgradeName = "by-page";

/** A Canary of productpage with weights of 10, 50 and 100 %. The first two steps wait for an approval. */
export function pausedCanary({ scale }: Proof): UntypedObject {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: canaryName, namespace: namespaces.shop },
    spec: {
      target: productpageRoute,
      steps: [
        { weight: 10, pause: { untilApproved: true } },
        { weight: 50, pause: { untilApproved: true } },
        { weight: 100 },
      ],
      checks: [{ type: "request-success-rate", timeoutSeconds: 120, minSamples: samplesAt(scale, 20) }],
    },
  };
}

/**
 * A MeshUpgrade of the whole mesh, or only of the first sidecar namespaces. Each wave waits for an approval. The soak
 * lasts an hour, unless a person completes the upgrade.
 */
function pausedUpgrade(proof: Proof, whole: boolean): UntypedObject {
  const made = upgradeObject(proof, {
    name: upgradeName,
    from: revisions.old,
    to: revisions.new,
    version: versions.new,
  });
  const wave = { pause: { untilApproved: true } };
  const scope = { ztunnel: false, cni: false, waypoints: false, gateways: false, tags: false };
  const first = { name: firstWave, namespaces: [namespaces.sidecarClients], ...wave };
  const { checks } = made["spec"] as { readonly checks: readonly { readonly type: string }[] };
  const extent = whole
    ? {
        waves: [first, { name: "rest", ...wave }],
        ztunnel: { by: "Namespace", maxConcurrent: 4 },
        gateways: { weights: [100] },
        waypoints: { weights: [100] },
      }
    : // Without steps of ztunnels, no connections are counted, so the check of failed connections would get no result.
      { waves: [first], scope, checks: checks.filter(({ type }) => type !== "tcp-connect-failures") };
  return { ...made, spec: { ...(made["spec"] as object), soakSeconds: 3_600, ...extent } };
}

interface Order {
  readonly button: string;
  readonly why?: string;
  /** Whether the object shows that the order was carried out. */
  readonly until: (status: RolloutStatus, spec: { readonly paused?: boolean }) => boolean;
  /** The text that the page then shows. */
  readonly shows: RegExp;
}

interface Ordered {
  readonly kind: typeof canaryKind | typeof meshUpgradeKind;
  readonly name: string;
  readonly namespace?: string;
  /** A pattern that matches the command in the dialog. */
  readonly command: RegExp;
  readonly timeoutMs: number;
  readonly orders: readonly Order[];
}

const waitsAt =
  (weight: number) =>
  (status: RolloutStatus): boolean =>
    status.weight === weight && status.pauseReason === "approval";
const waitsIn =
  (wave: string) =>
  ({ step, pauseReason }: RolloutStatus): boolean =>
    step?.id.startsWith(`${wave}/`) === true && pauseReason === "approval";
const isIn =
  (id: string) =>
  ({ step }: RolloutStatus): boolean =>
    step?.id === id;
const hasEnded =
  (wanted: RolloutStatus["phase"]) =>
  ({ phase }: RolloutStatus): boolean =>
    phase === wanted;

const pause: Order = { button: "Pause", until: (_status, { paused }) => paused === true, shows: /Paused/ };
const resume: Order = { button: "Resume", until: (_status, { paused }) => paused === false, shows: /approval/ };
const rollBack: Order = { button: "Roll back", until: hasEnded("RolledBack"), shows: /[Rr]olled ?[Bb]ack/ };

/** In this order, every button of a Canary is enabled when its turn comes. */
const canaryOrders: Ordered = {
  kind: canaryKind,
  name: canaryName,
  namespace: namespaces.shop,
  command: /serin canary /,
  timeoutMs: stepTimeoutMs,
  orders: [
    pause,
    resume,
    { button: "Approve", why: "the figures are good", until: waitsAt(50), shows: /50/ },
    rollBack,
    { button: "Begin again", until: waitsAt(10), shows: /10/ },
    { button: "Promote fully", why: "tested elsewhere", until: hasEnded("Completed"), shows: /Completed/ },
  ],
};

/**
 * Every button of a MeshUpgrade. With `whole`, the upgrade is rolled back in the first wave, begins again, and moves
 * the whole mesh until the old revision is retired. Without `whole`, it goes forward to the soak and back.
 */
function upgradeOrders(whole: boolean): Ordered {
  const complete = { button: "Complete", why: "the night was quiet" };
  const approve = (until: Order["until"], shows: RegExp): Order => ({
    button: "Approve",
    why: "its callers are served",
    until,
    shows,
  });
  const orders: readonly Order[] = whole
    ? [
        pause,
        resume,
        rollBack,
        { button: "Begin again", until: waitsIn(firstWave), shows: /approval/ },
        approve(waitsIn("rest"), /rest/),
        approve(isIn("soak"), /soak/),
        { ...complete, until: hasEnded("Completed"), shows: /Completed/ },
      ]
    : [
        pause,
        resume,
        approve(isIn("soak"), /soak/),
        { ...complete, until: isIn("dependents"), shows: /depend/ },
        rollBack,
      ];
  return { kind: meshUpgradeKind, name: upgradeName, command: /serin upgrade /, timeoutMs: waveTimeoutMs, orders };
}

/** Gives every order of a Canary. Returns the faults it found. */
export async function giveOrders(proof: Proof, page: Page, base: string): Promise<readonly string[]> {
  return await give(proof, page, base, canaryOrders);
}

/**
 * Starts a MeshUpgrade and gives every order of it. `look` is called once, while the upgrade waits between two
 * revisions.
 */
export async function giveUpgradeOrders(
  proof: Proof,
  page: Page,
  base: string,
  { whole, look }: { readonly whole: boolean; readonly look: () => Promise<void> },
): Promise<readonly string[]> {
  // A running Canary would make the upgrade wait.
  await proof.lab.api.client.delete(canaryKind, canaryName, namespaces.shop).catch(() => undefined);
  await proof.lab.api.apply([pausedUpgrade(proof, whole)]);
  try {
    await reached(proof, upgradeOrders(whole), `the wave ${firstWave} waits`, waitsIn(firstWave), undefined);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  await look();
  return await give(proof, page, base, upgradeOrders(whole));
}

async function give(proof: Proof, page: Page, base: string, ordered: Ordered): Promise<readonly string[]> {
  const { kind, name, namespace, orders } = ordered;
  await page.goto(`${base}#/rollouts/${[kind.kind, ...(namespace === undefined ? [] : [namespace]), name].join("/")}`);
  for (const order of orders) {
    try {
      await giveOrder(proof, page, ordered, order);
      proof.note(`ordered on the page: ${order.button} of ${kind.kind} ${name}`);
    } catch (error) {
      return [`${kind.kind}, ${order.button}: ${error instanceof Error ? error.message : String(error)}`];
    }
  }
  return [];
}

async function giveOrder(
  proof: Proof,
  page: Page,
  ordered: Ordered,
  { button, why, until, shows }: Order,
): Promise<void> {
  const dialog = page.getByRole("dialog");
  let before: RolloutStatus | undefined;
  do {
    await page
      .getByRole("group", { name: "Orders" })
      .locator("button:not([aria-disabled=true])")
      .filter({ hasText: button })
      .click({ timeout: stepTimeoutMs });
    const dialogText = await dialog.innerText({ timeout: seenTimeoutMs });
    if (!/What will change/i.test(dialogText))
      throw new Error(`its dialog does not say what will change: ${dialogText}`);
    if (!ordered.command.test(dialogText)) throw new Error(`its dialog does not say the command: ${dialogText}`);
    if (why !== undefined) await dialog.getByRole("textbox").fill(why);
    before = (await objectOf(proof, ordered))?.status;
  } while (!(await confirmed(dialog, button)));
  await reached(proof, ordered, `${button} is carried out`, until, before);
  await page.locator("#content").filter({ hasText: shows }).waitFor({ timeout: seenTimeoutMs });
  if (why === undefined) return;
  const approvals = JSON.stringify((await objectOf(proof, ordered))?.spec ?? {});
  if (!approvals.includes(why)) throw new Error(`the reason that was written is not in the object: ${approvals}`);
}

/**
 * Presses the dialog's button. Returns false if the dialog says that the rollout advanced meanwhile. The caller then
 * reads the state again.
 */
async function confirmed(dialog: Locator, button: string): Promise<boolean> {
  try {
    await dialog.getByRole("button", { name: button, exact: true }).click({ timeout: seenTimeoutMs });
    return true;
  } catch (error) {
    if (!(await dialog.getByText("since this was opened").isVisible())) throw error;
    await dialog.getByRole("button", { name: "Cancel" }).click();
    return false;
  }
}

async function objectOf(
  { lab }: Proof,
  { kind, name, namespace }: Ordered,
): Promise<{ readonly spec: { readonly paused?: boolean }; readonly status?: RolloutStatus } | undefined> {
  return kind.kind === "Canary"
    ? await lab.api.client.get(canaryKind, name, namespace)
    : await lab.api.client.get(meshUpgradeKind, name);
}

async function reached(
  proof: Proof,
  ordered: Ordered,
  condition: string,
  until: Order["until"],
  before: RolloutStatus | undefined,
): Promise<void> {
  let last = "";
  try {
    await proof.lab.api.until(
      condition,
      async () => {
        const found = await objectOf(proof, ordered);
        last = `${found?.status?.phase ?? "absent"}: ${found?.status?.cause ?? found?.status?.message ?? ""}`;
        if (found?.status === undefined) return undefined;
        if (until(found.status, found.spec)) return true;
        proof.signal.throwIfAborted();
        // The upgrade ended although no order asked for that, so do not wait any longer. Ignore the cause from before
        // the order, because it only shows that the rollout has not started again yet.
        const { cause } = found.status;
        if (
          ordered.kind.kind === "MeshUpgrade" &&
          cause !== undefined &&
          cause !== before?.cause &&
          (found.status.phase === "RolledBack" || found.status.phase === "Stuck")
        )
          throw new Error(`${condition}: it ended`);
        return undefined;
      },
      ordered.timeoutMs,
    );
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; it is ${last}`, { cause });
  }
}
