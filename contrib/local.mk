# contrib: the demo renderer (beside reel-worker in a build tree), scripts.
pkglibexec_SCRIPTS = reel-demo
CLEANFILES += reel-demo
EXTRA_DIST += contrib/worker/reel-demo contrib/lib.sh contrib/run contrib/check contrib/lint \
	contrib/screenshots/generation.png contrib/systemd/reeld.service
reel-demo: $(srcdir)/contrib/worker/reel-demo
	$(AM_V_GEN)cp $(srcdir)/contrib/worker/reel-demo $@ && chmod +x $@

# Pages; the settings are taken from the program, so that none is missing.
dist_man_MANS = contrib/man/reeld.8
man_MANS = contrib/man/reeld.conf.5
EXTRA_DIST += contrib/man/reeld.conf.5.in contrib/man/settings.awk
CLEANFILES += contrib/man/reeld.conf.5
contrib/man/reeld.conf.5: contrib/man/reeld.conf.5.in \
    contrib/man/settings.awk reeld$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) contrib/man && \
	    ./reeld$(EXEEXT) print-config sample >$@.sample && \
	    $(AWK) -f $(srcdir)/contrib/man/settings.awk $@.sample \
	        $(srcdir)/contrib/man/reeld.conf.5.in >$@.tmp && \
	    rm $@.sample && mv $@.tmp $@
