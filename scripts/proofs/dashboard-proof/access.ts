// Checks who may see and do what: opens the page of the cluster's own dashboard without a login, and with the tokens of
// accounts that have different rights.
import type { Page } from "playwright-core";
import type { UntypedObject } from "../../../src/api/index.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { limitedEnd } from "../limited-end.ts";
import type { Proof } from "../upgrade-proof/proof.ts";
import type { ProofBrowser } from "./browser.ts";
import { canaryName } from "./views.ts";

const narrow = "shop-reader";
const seenTimeoutMs = 20_000;

/** Returns the objects of an account that may read one namespace and write nothing. */
function accounts(): UntypedObject[] {
  const metadata = { name: narrow, namespace: namespaces.shop };
  const subjects = [{ kind: "ServiceAccount", name: narrow, namespace: namespaces.shop }];
  const resources = ["pods", "services", "deployments", "events", "canaries"];
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata,
      rules: [{ apiGroups: ["*"], resources, verbs: ["get", "list", "watch"] }],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: narrow },
      subjects,
    },
  ];
}

/** Returns the faults that it found. `base` is the address of the cluster's own dashboard. */
export async function tryAccess({ lab }: Proof, browser: ProofBrowser, base: string): Promise<readonly string[]> {
  const problems: string[] = [];
  await lab.api.apply(accounts());
  const context = await browser.window({ width: 1280, colorScheme: "light" });
  try {
    const page = await browser.page(context);
    await page.goto(base);
    await page.locator("#content").filter({ hasText: namespaces.sidecarServers }).waitFor({ timeout: seenTimeoutMs });
    // Without a login, the page reads with the dashboard's own account, and the user cannot steer a rollout.
    await page.goto(`${base}#/rollouts/Canary/${namespaces.shop}/${canaryName}`);
    await page.getByRole("group", { name: "Orders" }).waitFor({ timeout: seenTimeoutMs });
    if ((await orderable(page)) > 0) problems.push("the page offers orders without a login");
    const token = await createToken(lab, narrow);
    await page.goto(`${base}#/login`);
    await page.getByRole("textbox").or(page.locator("input[type=password], textarea")).first().fill(token);
    await page
      .getByRole("button", { name: /log in/i })
      .last()
      .click();
    await page.getByRole("banner").filter({ hasText: narrow }).waitFor({ timeout: seenTimeoutMs });
    await page.goto(`${base}#/workloads`);
    const content = page.locator("#content");
    await content.filter({ hasText: "productpage" }).waitFor({ timeout: seenTimeoutMs });
    if (/app-b/.test(await content.innerText()))
      problems.push(`a user who may read only ${namespaces.shop} sees workloads of ${namespaces.sidecarServers}`);
    await page.goto(`${base}#/rollouts/Canary/${namespaces.shop}/${canaryName}`);
    await page.getByRole("group", { name: "Orders" }).waitFor({ timeout: seenTimeoutMs });
    if ((await orderable(page)) > 0) problems.push("a user who may not patch Canaries is offered orders");
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    await limitedEnd("the window of the rights", context.close());
  }
  return problems;
}

async function orderable(page: Page): Promise<number> {
  return await page.getByRole("group", { name: "Orders" }).locator("button:not([aria-disabled=true])").count();
}

/** Creates a token for a ServiceAccount. It is valid for an hour. */
export async function createToken(lab: Proof["lab"], name: string): Promise<string> {
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } };
  const { status, text } = await lab.api.client.raw(
    "POST",
    `/api/v1/namespaces/${namespaces.shop}/serviceaccounts/${name}/token`,
    { body },
  );
  if (status >= 300) throw new Error(`a token of ${name}: status ${status}: ${text}`);
  return (JSON.parse(text) as { status: { token: string } }).status.token;
}
