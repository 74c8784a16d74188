// Every order of a rollout, given by its button: what the dialog says, and what the cluster then is.
import type { Page } from "playwright-core";
import { canaryKind, type RolloutStatus } from "../../src/api/serin/index.ts";
import type { UntypedObject } from "../../src/api/index.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { canaryBackend } from "../upgrade-proof/objects.ts";
import type { Proof } from "../upgrade-proof/proof.ts";
import { canaryName } from "./views.ts";

const stepTimeoutMs = 90_000;
const seenTimeoutMs = 10_000;

/** productpage 10 -> 50 -> 100, each step until somebody approves it. */
export function pausedCanary(): UntypedObject {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: canaryName, namespace: namespaces.shop },
    spec: {
      target: { httpRoute: { name: "bookinfo", rule: 0, stable: { name: "productpage", port: 9080 }, canary: { name: canaryBackend, port: 9080 } } },
      steps: [{ weight: 10, pause: { untilApproved: true } }, { weight: 50, pause: { untilApproved: true } }, { weight: 100 }],
      checks: [{ type: "request-success-rate", timeoutSeconds: 120, minSamples: 20 }],
    },
  };
}

interface Order {
  /** The button's name. */
  readonly button: string;
  readonly why?: string;
  /** What the object says once it has been carried out. */
  readonly until: (status: RolloutStatus, spec: { readonly paused?: boolean }) => boolean;
  /** What the page then shows. */
  readonly shows: RegExp;
}

const waitsAt = (weight: number) => (status: RolloutStatus): boolean => status.weight === weight && /waits for approval/.test(status.message);

/** In this order every button of a Canary has something to do. */
const orders: readonly Order[] = [
  { button: "Pause", until: (_status, { paused }) => paused === true, shows: /Paused/ },
  { button: "Resume", until: (_status, { paused }) => paused === false, shows: /approval/ },
  { button: "Approve", why: "the figures are good", until: waitsAt(50), shows: /50/ },
  { button: "Roll back", until: ({ phase }) => phase === "RolledBack", shows: /[Rr]olled ?[Bb]ack/ },
  { button: "Begin again", until: waitsAt(10), shows: /10/ },
  { button: "Promote fully", why: "tested elsewhere", until: ({ phase }) => phase === "Completed", shows: /Completed/ },
];

/** Gives every order; answers what was not as it must be. */
export async function giveOrders(proof: Proof, page: Page, base: string): Promise<readonly string[]> {
  const problems: string[] = [];
  await page.goto(`${base}#/rollouts/Canary/${namespaces.shop}/${canaryName}`);
  for (const order of orders) {
    try {
      await giveOrder(proof, page, order);
      proof.note(`ordered on the page: ${order.button}`);
    } catch (error) {
      problems.push(`${order.button}: ${error instanceof Error ? error.message : String(error)}`);
      break;
    }
  }
  return problems;
}

async function giveOrder({ lab }: Proof, page: Page, { button, why, until, shows }: Order): Promise<void> {
  const bar = page.getByRole("group", { name: "Orders" });
  const offered = bar.locator("button:not([aria-disabled=true])").filter({ hasText: button });
  await offered.click({ timeout: stepTimeoutMs });
  const dialog = page.getByRole("dialog");
  const said = await dialog.innerText({ timeout: seenTimeoutMs });
  if (!/What will change/i.test(said)) throw new Error(`its dialog does not say what will change: ${said}`);
  if (!/serin canary /.test(said)) throw new Error(`its dialog does not say the command: ${said}`);
  if (why !== undefined) await dialog.getByRole("textbox").fill(why);
  await dialog.getByRole("button", { name: button, exact: true }).click();
  await lab.api.until(
    `${button} is carried out`,
    async () => {
      const canary = await lab.api.client.get(canaryKind, canaryName, namespaces.shop);
      return canary?.status !== undefined && until(canary.status, canary.spec) ? true : undefined;
    },
    stepTimeoutMs,
  );
  await page.locator("#content").filter({ hasText: shows }).waitFor({ timeout: seenTimeoutMs });
  if (why === undefined) return;
  const approvals = JSON.stringify((await lab.api.client.get(canaryKind, canaryName, namespaces.shop))?.spec ?? {});
  if (!approvals.includes(why)) throw new Error(`the reason that was written is not in the object: ${approvals}`);
}
