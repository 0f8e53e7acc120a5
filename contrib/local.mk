# contrib: the demo renderer (beside reel-worker in a build tree), scripts.
pkglibexec_SCRIPTS = reel-demo
CLEANFILES += reel-demo
EXTRA_DIST += contrib/worker/reel-demo contrib/lib.sh contrib/run contrib/check contrib/lint \
	contrib/systemd/reeld.service
reel-demo: $(srcdir)/contrib/worker/reel-demo
	$(AM_V_GEN)cp $(srcdir)/contrib/worker/reel-demo $@ && chmod +x $@
