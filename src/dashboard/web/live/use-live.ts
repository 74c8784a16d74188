import { useLayoutEffect, useMemo } from "preact/hooks";
import type { TopicName, Topics } from "../../../api/dashboard/index.ts";
import { followTopic, type Live } from "./live-topics.ts";

/**
 * Follows a topic as long as the component is mounted.
 *
 *     const ladder = useLive("ladder", {});
 *     const rungs = ladder.table("rungs").value;
 */
export function useLive<Name extends TopicName>(name: Name, parameters: Topics[Name]["parameters"]): Live<Name> {
  const key = JSON.stringify(parameters);
  const followed = useMemo(() => followTopic(name, parameters), [name, key]);
  // Begin before the first paint, which would only show that the page waits.
  useLayoutEffect(() => followed.start(), [followed]);
  return followed.live;
}
