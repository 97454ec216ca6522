import { useApp } from "../state/app";
import { text } from "../text";

/** Says when the gateway is away; says nothing while all is well. */
export function LinkBanner() {
  const { socket } = useApp();
  const link = socket.link.value;
  const note = link === "lost" ? text.link.lost : link === "offline" ? text.link.offline : "";
  return (
    <div class="link" role="status" data-link={link}>
      {note && (
        <div class={`banner ${link}`}>
          <span class="pulse" aria-hidden="true" />
          <span>{note}</span>
          <button type="button" class="quiet small" onClick={() => socket.retryNow()}>
            {text.link.tryNow}
          </button>
        </div>
      )}
    </div>
  );
}
