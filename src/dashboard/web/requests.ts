import type { DashboardRequests, Problem, RequestName } from "../../api/dashboard/index.ts";
import { endSession, session, setSession } from "./session.ts";

/** A request that failed: with the server's problem, or because the server did not answer. */
export class RequestFailure extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

const loginNames: ReadonlySet<RequestName> = new Set(["GET /api/session", "POST /api/login", "POST /api/logout"]);

/**
 * Sends a request to the server. Throws a {@link RequestFailure} if it fails, or the reason of the signal if that is
 * aborted. If the session has ended, the page shows the login.
 */
export async function request<Name extends RequestName>(
  name: Name,
  parameters: DashboardRequests[Name]["request"],
  signal?: AbortSignal,
): Promise<DashboardRequests[Name]["answer"]> {
  const [method = "GET", path = ""] = name.split(" ");
  const url = new URL(path.slice(1), document.baseURI);
  const headers: Record<string, string> = { accept: "application/json" };
  const options: RequestInit = {
    method,
    headers,
    credentials: "same-origin",
    cache: "no-store",
    ...(signal === undefined ? {} : { signal }),
  };
  if (method === "GET") {
    for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, String(value));
  } else {
    headers["content-type"] = "application/json";
    headers["x-serin-csrf"] = session.value?.csrfToken ?? "";
    options.body = JSON.stringify(parameters);
  }
  if (!loginNames.has(name))
    return (await exchangeInSession(url, options, signal)) as DashboardRequests[Name]["answer"];
  const answer = await exchange(url, options, signal);
  setSession(answer as DashboardRequests["GET /api/session"]["answer"], name === "POST /api/logout");
  return answer as DashboardRequests[Name]["answer"];
}

/** Sends a request. If the session has ended and anonymous users may read, sends it again without a login. */
async function exchangeInSession(url: URL, options: RequestInit, signal: AbortSignal | undefined): Promise<unknown> {
  try {
    return await exchange(url, options, signal);
  } catch (error) {
    if (error instanceof RequestFailure && error.problem.code === "logged-out" && !(await goesOnAnonymously()))
      endSession(error.problem);
    throw error;
  }
}

async function goesOnAnonymously(): Promise<boolean> {
  try {
    return (await request("GET /api/session", {})).authentication === "anonymous";
  } catch {
    return false;
  }
}

async function exchange(url: URL, options: RequestInit, signal: AbortSignal | undefined): Promise<unknown> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, options);
    body = await response.json().catch(() => undefined);
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new RequestFailure({
      code: "unavailable",
      message: "The dashboard's server does not answer.",
      hint: "Does the command serin dashboard still run? The page reconnects as soon as it does.",
    });
  }
  if (response.ok && body !== undefined) return body;
  const { problem } = (body ?? {}) as { problem?: Problem };
  throw new RequestFailure(
    problem ?? { code: "internal", message: `The dashboard's server answered ${response.status}.` },
  );
}

export function problemOf(error: unknown): Problem {
  if (error instanceof RequestFailure) return error.problem;
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
