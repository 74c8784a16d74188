import type { ComponentType, JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Empty, Loading, ProblemBlock } from "../components/index.ts";
import { linkTo, place } from "../router.ts";
import type { RouteParameters } from "../route-parameters.ts";
import { routeOf, type Route } from "../routes.ts";

type View = ComponentType<Required<RouteParameters>>;

/** Views whose code is loaded. They appear at once the next time. */
const loaded = new Map<Route, View>();

/** The view that the link names. On a new path, it is scrolled to its top, and its heading gets the focus. */
export function RouteView(): JSX.Element {
  const { path } = place.value;
  const key = path.join("/");
  const found = routeOf(path);
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState<Route | undefined>(undefined);
  const first = useRef(true);
  const route = found?.route;
  const View = route === undefined ? undefined : loaded.get(route);

  useLayoutEffect(() => {
    if (route === undefined || loaded.has(route)) return;
    route.load().then(
      (view) => {
        loaded.set(route, view);
        redraw((count) => count + 1);
      },
      () => setFailed(route),
    );
  }, [route]);

  useLayoutEffect(() => {
    if (View === undefined) return;
    if (!first.current) {
      window.scrollTo(0, 0);
      document.querySelector<HTMLElement>("#content h1")?.focus({ preventScroll: true });
    }
    first.current = false;
  }, [key, View]);

  if (found === undefined) {
    return (
      <div class="page">
        <h1 tabIndex={-1}>Not found</h1>
        <div class="card">
          <Empty title="This page does not exist">
            The link may come from another version of the dashboard. <a href={linkTo([])}>Go to the overview</a>
          </Empty>
        </div>
      </div>
    );
  }
  if (View !== undefined) return <View key={key} {...found.parameters} />;
  return (
    <div class="page">
      {failed === route ? (
        <div class="card">
          <ProblemBlock
            problem={{
              code: "unavailable",
              message: "The browser could not load the code of this view.",
              hint: "The dashboard may have been updated or stopped. Reload the page.",
            }}
            again={false}
          />
        </div>
      ) : (
        <div class="card">
          <Loading lines={9} />
        </div>
      )}
    </div>
  );
}
