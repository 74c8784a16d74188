import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Problem } from "../../../api/dashboard/index.ts";
import { CommandLine, Notice, Page, ProblemNotice } from "../components/index.ts";
import { problemOf, request } from "../requests.ts";
import { go, linkTo, place } from "../router.ts";
import { session, sessionEnded } from "../session.ts";

/** Asks for a bearer token. The server keeps it in a session. The page's scripts cannot read the session's cookie. */
export function LoginPage(): JSX.Element {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const ended = sessionEnded.value;
  const { value } = session;
  const login = async (): Promise<void> => {
    setBusy(true);
    try {
      await request("POST /api/login", { token: token.trim() });
      setToken("");
      if (place.value.path[0] === "login") go(linkTo([]));
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };
  return (
    <Page title="Log in" subtitle={value === undefined ? undefined : `to ${value.cluster}`}>
      <div class="login card">
        {ended === undefined ? undefined : <Notice tone="warn">{ended.message}</Notice>}
        {value?.mayLogIn === false ? (
          <Notice tone="info">
            This server accepts no tokens{value.limits.length === 0 ? "." : `: ${value.limits.join(" ")}`}
          </Notice>
        ) : (
          <form
            class="stack"
            onSubmit={(event) => {
              event.preventDefault();
              void login();
            }}
          >
            <label class="field">
              <span>Bearer token of a Kubernetes user or service account</span>
              <input
                class="input mono"
                type="password"
                name="token"
                autocomplete="off"
                required
                spellcheck={false}
                value={token}
                onInput={(event) => setToken(event.currentTarget.value)}
              />
            </label>
            {problem === undefined ? undefined : <ProblemNotice problem={problem} />}
            <div class="row">
              <button type="submit" class="button" data-kind="primary" disabled={busy || token.trim() === ""}>
                {busy ? "Logging in" : "Log in"}
              </button>
            </div>
          </form>
        )}
        {value?.mayLogIn === false ? undefined : (
          <div class="stack">
            <p class="muted">
              The API server decides with this token what you may see and do, at each read and each write. A token for a
              service account:
            </p>
            <CommandLine command="kubectl create token my-account --namespace my-namespace --duration 8h" />
          </div>
        )}
      </div>
    </Page>
  );
}
