import type { JSX } from "preact";
import { Icon, toast } from "../components/index.ts";
import { timeZoneText } from "../format.ts";
import { go, linkTo } from "../router.ts";
import { problemOf, request } from "../requests.ts";
import { session } from "../session.ts";
import { Menu } from "./menu.tsx";
import { openHelp } from "./shortcuts.tsx";

const ways: Readonly<Record<string, string>> = {
  kubeconfig: "by the server's kubeconfig",
  token: "by a token",
  anonymous: "read only, by the server's own account",
  none: "",
};

export function UserMenu(): JSX.Element | null {
  const { value } = session;
  if (value === undefined) return null;
  const name = value.authentication === "none" ? "Not logged in" : value.user === "" ? "anonymous" : value.user;
  const leave = async (): Promise<void> => {
    try {
      await request("POST /api/logout", {});
    } catch (error) {
      toast("bad", problemOf(error).message);
    }
  };
  return (
    <Menu
      label={`User: ${name}`}
      class="user-menu"
      button={
        <>
          <Icon name="user" />
          <span class="ellipsis wide-only user-name">{name}</span>
        </>
      }
    >
      {(close) => (
        <>
          <span class="menu-note">
            <strong>{name}</strong> {ways[value.authentication]}
          </span>
          {value.groups.length === 0 ? undefined : <span class="menu-note">Groups: {value.groups.join(", ")}</span>}
          {value.limits.map((limit) => (
            <span key={limit} class="menu-note">
              {limit}
            </span>
          ))}
          <span class="menu-note">
            {value.cluster} · Serin {value.version}
          </span>
          <span class="menu-note">Times are of {timeZoneText()}.</span>
          <button
            type="button"
            class="button"
            onClick={() => {
              close();
              openHelp();
            }}
          >
            Keyboard shortcuts
          </button>
          {value.mayLogIn ? (
            <button
              type="button"
              class="button"
              onClick={() => {
                close();
                go(linkTo(["login"]));
              }}
            >
              {value.authentication === "token" ? "Use another token" : "Log in with a token"}
            </button>
          ) : undefined}
          {value.authentication === "token" ? (
            <button type="button" class="button" onClick={() => void leave()}>
              Log out
            </button>
          ) : undefined}
        </>
      )}
    </Menu>
  );
}
