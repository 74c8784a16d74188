import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Session } from "../../../api/dashboard/index.ts";
import { Icon, Notice } from "../components/index.ts";
import { linkTo } from "../router.ts";
import { lapsedUser } from "../session.ts";

const closed = signal(false);

/**
 * Shows what the user cannot see or do, and how to grant it. A user who closes it still finds it in the user's menu.
 */
export function Limits({ session }: { readonly session: Session }): JSX.Element | null {
  const lapsed = lapsedUser.value;
  if (lapsed !== undefined) {
    return (
      <div class="limits">
        <Notice tone="warn" live>
          The session of {lapsed} has ended: its token is no longer valid. The page shows what everybody may read;{" "}
          <a href={linkTo(["login"])}>log in again</a> to do anything.
        </Notice>
      </div>
    );
  }
  if (closed.value || session.limits.length === 0) return null;
  return (
    <div class="limits">
      <Notice tone="info">
        <div class="spread">
          <span>{session.limits.join(" ")}</span>
          <button
            type="button"
            class="button"
            data-kind="quiet"
            aria-label="Close the notice"
            onClick={() => void (closed.value = true)}
          >
            <Icon name="close" size={12} />
          </button>
        </div>
      </Notice>
    </div>
  );
}
