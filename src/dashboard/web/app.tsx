import type { JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { LoginPage } from "./account/login-page.tsx";
import { Loading, ProblemBlock, Toasts } from "./components/index.ts";
import { BottomNavigation, Header } from "./frame/header.tsx";
import { Limits } from "./frame/limits.tsx";
import { RouteView } from "./frame/route-view.tsx";
import { ShortcutHelp, useShortcuts } from "./frame/shortcuts.tsx";
import { useSession } from "./frame/use-session.ts";
import { place } from "./router.ts";
import { routeOf } from "./routes.ts";
import { sessionEnded } from "./session.ts";

export function App(): JSX.Element {
  useShortcuts();
  // Load the view's code while the session is being requested.
  useLayoutEffect(() => void routeOf(place.peek().path)?.route.load(), []);
  return (
    <>
      <a
        class="skip-link"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header />
      <main id="content" tabIndex={-1}>
        <Content />
      </main>
      <BottomNavigation />
      <Toasts />
      <ShortcutHelp />
    </>
  );
}

function Content(): JSX.Element {
  const { session, problem } = useSession();
  if (session === undefined)
    return (
      <div class="page">
        {problem === undefined ? (
          <Loading lines={9} />
        ) : (
          <div class="card">
            <ProblemBlock problem={problem} />
          </div>
        )}
      </div>
    );
  // Show the login in place of the view, and keep the link, so that the user gets to the view after the login.
  if (session.authentication === "none" || sessionEnded.value !== undefined) return <LoginPage />;
  return (
    <>
      <Limits session={session} />
      <RouteView />
    </>
  );
}
