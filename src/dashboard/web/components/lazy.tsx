import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A part of a view whose code is loaded later. Keeps its space free until then. */
export function Lazy<Given extends object>({
  load,
  height,
  given,
}: {
  readonly load: () => Promise<ComponentType<Given>>;
  readonly height: number;
  readonly given: Given;
}): JSX.Element {
  const [part, setPart] = useState<{ readonly Part: ComponentType<Given> } | undefined>(undefined);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    load().then(
      (Part) => setPart({ Part }),
      () => setFailed(true),
    );
  }, []);
  if (part !== undefined) return <part.Part {...given} />;
  return (
    <div style={{ minHeight: `${height}px` }} class="card-body muted">
      {failed ? "The browser could not load the code of this part. Reload the page." : ""}
    </div>
  );
}
